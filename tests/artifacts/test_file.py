from __future__ import annotations

import pickle
from dataclasses import replace
from hashlib import sha256

import pytest
import torch

from csdm_cli.artifacts.file import (
    FILE_NAME,
    Coded,
    Decoding,
    SoftLabels,
    find_artifact,
    load_distilled,
    save_distilled,
)
from csdm_cli.errors import CsdmError
from csdm_cli.storage import tensorfile
from tests.artifacts.sets import coded_set, dataset_info, make_set


@pytest.fixture
def path(tmp_path):
    return tmp_path / FILE_NAME


def fails(path, match):
    with pytest.raises(CsdmError, match=match) as caught:
        load_distilled(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "distilled",
    [
        make_set(),
        make_set(soft=True, factor=1),
        make_set(channels=1, factor=3, size=16),
        make_set(images=torch.linspace(-0.5, 1.5, 6 * 3 * 64).reshape(6, 3, 8, 8), value_range=(-0.5, 1.5)),
        coded_set("frequency"),
        coded_set("decomposition", soft=True),
    ],
    ids=["plain", "soft", "grey", "float", "frequency", "decomposition"],
)
def test_round_trip_keeps_everything_and_every_byte(path, distilled):
    save_distilled(path, distilled)
    first = path.read_bytes()
    loaded = load_distilled(path)
    assert loaded.stored.keys() == distilled.stored.keys()
    for name, tensor in distilled.stored.items():
        assert loaded.stored[name].dtype == tensor.dtype and torch.equal(loaded.stored[name], tensor)
    assert torch.equal(loaded.decoded(), distilled.decoded())
    assert torch.equal(loaded.labels, distilled.labels)
    for field in ("dataset", "decoding", "provenance", "evaluation", "value_range"):
        assert getattr(loaded, field) == getattr(distilled, field)
    assert (loaded.soft_labels is None) == (distilled.soft_labels is None)
    if soft := distilled.soft_labels:
        assert torch.equal(loaded.soft_labels.probabilities, soft.probabilities)
        assert (loaded.soft_labels.temperature, loaded.soft_labels.teacher) == (soft.temperature, soft.teacher)
    save_distilled(path, loaded)
    assert path.read_bytes() == first


def test_a_folder_stands_for_the_file_in_it(path, tmp_path):
    save_distilled(path, make_set())
    assert find_artifact(tmp_path) == path
    assert load_distilled(tmp_path).ipc == (2, 2, 2)


def test_missing_file_and_empty_folder(path, tmp_path):
    fails(path, "does not exist")
    fails(tmp_path, f"no {FILE_NAME}")


def test_any_flipped_bit_is_noticed(path):
    save_distilled(path, make_set(classes=2, ipc=1, side=2, size=2, soft=True))
    good = path.read_bytes()
    for position in range(len(good)):
        damaged = bytearray(good)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(bytes(damaged))
        assert "csdm verify" in fails(path, None)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated(path, keep):
    save_distilled(path, make_set())
    path.write_bytes(path.read_bytes()[:keep])
    assert "csdm verify" in fails(path, "damaged")


def test_a_pickle_is_not_run(path):
    path.write_bytes(pickle.dumps({"images": [1]}))
    fails(path, "damaged or not a safetensors file")


def test_safetensors_of_another_program(path):
    from safetensors.torch import save_file

    save_file({"images": torch.zeros(1)}, path)
    fails(path, "csdm did not write it")


def test_another_file_of_csdm(path):
    tensorfile.save(path, {"weights": torch.zeros(1)}, {"kind": "teacher"})
    fails(path, "not a distilled set")


def rewrite(path, change_tensors=None, change_header=None):
    """Write the file anew with correct hashes but other contents, as a program with a fault would."""
    from csdm_cli.artifacts import file

    tensors, header = tensorfile.load(path)
    if change_tensors:
        change_tensors(tensors)
    header.pop("sha256")
    if change_header:
        change_header(header)
    header["body_sha256"] = file._hash(header["body"])
    tensorfile.save(path, tensors, header)


def test_unknown_schema(path):
    save_distilled(path, make_set())
    rewrite(path, change_header=lambda header: header.update(schema=99))
    fails(path, "schema 99, this csdm reads schema 1 and 2")


@pytest.mark.parametrize("key", ["dataset", "decoding", "provenance", "value_range"])
def test_missing_header_key(path, key):
    save_distilled(path, make_set())
    rewrite(path, change_header=lambda header: header["body"].pop(key))
    assert key in fails(path, "incomplete header")


@pytest.mark.parametrize("name", ["images", "labels", "soft_labels"])
def test_missing_tensor(path, name):
    save_distilled(path, make_set(soft=True))
    rewrite(path, change_tensors=lambda tensors: tensors.pop(name))
    fails(path, "holds the tensors")


def test_undeclared_soft_labels(path):
    save_distilled(path, make_set())
    rewrite(path, change_tensors=lambda tensors: tensors.update(soft_labels=torch.zeros(24, 3)))
    fails(path, "holds the tensors")


def float_images(value):
    return torch.full((6, 3, 8, 8), value)


UNSOUND = {
    "labels unsorted": ({"labels": torch.tensor([1, 0, 0, 1, 2, 2])}, "not sorted"),
    "labels too large": ({"labels": torch.tensor([0, 0, 1, 1, 2, 3])}, "0 to 2, for 3 classes"),
    "labels negative": ({"labels": torch.tensor([-1, 0, 1, 1, 2, 2])}, "labels from -1"),
    "labels of another type": ({"labels": torch.zeros(6, dtype=torch.int32)}, "int32"),
    "fewer labels": ({"labels": torch.zeros(5, dtype=torch.int64)}, "images of shape"),
    "images not square": ({"images": torch.zeros(6, 3, 8, 4, dtype=torch.uint8)}, "images of shape"),
    "images of another size": ({"decoding": Decoding(2, 16, 16)}, "images of shape"),
    "images of integers": ({"images": torch.zeros(6, 3, 8, 8, dtype=torch.int16)}, "int16"),
    "channels unlike the mean": ({"dataset": dataset_info(mean=(0.5,))}, "images of shape"),
    "channels unlike the std": ({"dataset": dataset_info(std=(0.5,))}, "1 deviations"),
    "zero std": ({"dataset": dataset_info(std=(0.5, 0.5, 0.0))}, "std above 0"),
    "counts unlike names": ({"dataset": dataset_info(counts=(1, 2))}, "3 class names and 2"),
    "NaN pixels": ({"images": float_images(float("nan"))}, "not finite"),
    "pixels over the range": ({"images": float_images(1.5)}, "declared range is 0 to 1"),
    "range of uint8": ({"value_range": (0.0, 2.0)}, "for uint8"),
    "factor over the size": ({"decoding": Decoding(9, 8, 8)}, "factor 9"),
    "unknown mode": ({"decoding": Decoding(2, 8, 8, "bicubic")}, "bicubic"),
    "soft rows per stored image": ({"soft_labels": SoftLabels(torch.full((6, 3), 1 / 3), 1.0, "t")}, "decoded image"),
    "soft rows not summing": ({"soft_labels": SoftLabels(torch.full((24, 3), 0.5), 1.0, "t")}, "sum to 1"),
    "negative soft labels": ({"soft_labels": SoftLabels(torch.tensor([[2.0, -1, 0]] * 24), 1.0, "t")}, "probabilities"),
}


@pytest.mark.parametrize(("changes", "match"), UNSOUND.values(), ids=UNSOUND.keys())
def test_unsound_sets_are_neither_written_nor_read(path, monkeypatch, changes, match):
    unsound = make_set(**changes)
    with pytest.raises(CsdmError, match=match):
        save_distilled(path, unsound)
    assert not path.exists()
    with monkeypatch.context() as patch:
        patch.setattr("csdm_cli.artifacts.file.first_problem", lambda _: None)
        save_distilled(path, unsound)
    assert "csdm verify" in fails(path, match)


def test_images_are_written_as_ever(path):
    """Schema 1, whatever else this version can write: earlier ones read it."""
    save_distilled(path, make_set(soft=True))
    tensors, header = tensorfile.load(path)
    assert header["schema"] == 1 and set(tensors) == {"images", "labels", "soft_labels"}
    assert header["body"]["decoding"] == {"factor": 2, "stored_size": 8, "size": 8, "mode": "bilinear"}
    names = {"dataset", "decoding", "provenance", "evaluation", "soft_labels", "value_range"}
    assert header["body"].keys() == names
    # Of the set without soft labels, the bytes that the release before wrote.
    save_distilled(path, make_set())
    assert sha256(path.read_bytes()).hexdigest() == "15610bd035cf1c3b25cbdc956fd260516ba354ead350e4ad0a9847470dc43feb"


def test_other_numbers_are_written_as_schema_2_without_labels(path):
    save_distilled(path, coded_set("decomposition"))
    tensors, header = tensorfile.load(path)
    assert header["schema"] == 2
    assert set(tensors) == {"spectra", "channel_kernels", "row_kernels", "column_kernels"}
    assert load_distilled(path).labels.tolist() == coded_set("decomposition").labels.tolist()


@pytest.mark.parametrize(("made", "schema"), [(make_set, 2), (coded_set, 1)])
def test_a_schema_that_the_contents_are_not(path, made, schema):
    save_distilled(path, made())
    rewrite(path, change_header=lambda header: header.update(schema=schema))
    assert "csdm verify" in fails(path, f"says schema {schema}, which its contents are not")


HUGE = 10**15
FORGED = {
    "unknown kind": ({"kind": "jpeg"}, "the parameterisation 'jpeg'"),
    "images as a kind": ({"kind": "pixels"}, "expected frequency or decomposition"),
    "missing number": ({"kept": None}, r"kept None \(expected 1 to 64"),
    "switch for a number": ({"kept": True}, "kept True"),
    "negative": ({"per_class": -1}, r"per_class -1 \(expected 1"),
    "huge": ({"per_class": HUGE}, f"per_class {HUGE}"),
    "other number": ({"per_class": 7}, "coefficients of torch.float16 of shape"),
    "further number": ({"size": 7}, "a parameterisation with"),
}


@pytest.mark.parametrize(("changes", "match"), FORGED.values(), ids=FORGED.keys())
def test_a_forged_parameterisation_is_refused_before_anything_is_decoded(path, changes, match):
    save_distilled(path, coded_set())
    rewrite(path, change_header=lambda header: header["body"]["decoding"]["parameterisation"].update(changes))
    assert "csdm verify" in fails(path, match)


@pytest.mark.parametrize("sizes", [[3, 4], [3, 9, 9], [0, 4, 4], ["3", 4, 4], None])
def test_a_forged_decomposition(path, sizes):
    save_distilled(path, coded_set("decomposition"))
    rewrite(path, change_header=lambda header: header["body"]["decoding"]["parameterisation"].update(sizes=sizes))
    fails(path, "tensors of sizes")


@pytest.mark.parametrize("changes", [{"size": 10**6}, {"ipc": 0}, {"size": -8}])
def test_a_forged_size(path, changes):
    save_distilled(path, coded_set())
    rewrite(path, change_header=lambda header: header["body"]["decoding"].update(changes))
    fails(path, "pixels a side at IPC")


def test_more_bytes_than_the_budget_says(path):
    save_distilled(path, coded_set(ipc=2))
    rewrite(path, change_header=lambda header: header["body"]["decoding"].update(ipc=1))
    fails(path, "bytes, which are more than the 576 of IPC 1")


def test_a_small_file_does_not_ask_for_all_memory(path):
    """One coefficient of each image of 4096×4096 is kept."""
    form = {"kind": "frequency", "per_class": 40, "kept": 1}
    masks = torch.zeros(3, 4096**2 // 8, dtype=torch.uint8)
    masks[:, 0] = 128
    found = replace(
        coded_set(ipc=1),
        stored={"coefficients": torch.zeros(120, 3, 1, dtype=torch.float16), "masks": masks},
        decoding=Coded(form, 1, 4096),
    )
    with pytest.raises(CsdmError, match="40 images per class to decode from too few numbers"):
        save_distilled(path, found)


def _changed(name, **kinds):
    def change(tensors):
        tensors[name] = kinds["to"](tensors[name])

    return change


DAMAGED = {
    "infinite": ("coefficients", lambda tensor: tensor * float("inf"), "coefficients that are not finite"),
    "float32": ("coefficients", lambda tensor: tensor.float(), "coefficients of torch.float32"),
    "a row short": ("coefficients", lambda tensor: tensor[1:].contiguous(), "coefficients of torch.float16 of shape"),
    "masks of all": ("masks", lambda tensor: tensor | 255, "masks that do not keep"),
    "masks of none": ("masks", lambda tensor: tensor & 0, "masks that do not keep"),
}


@pytest.mark.parametrize(("name", "change", "match"), DAMAGED.values(), ids=DAMAGED.keys())
def test_stored_numbers_that_are_not_those_of_the_header(path, name, change, match):
    save_distilled(path, coded_set())
    rewrite(path, change_tensors=_changed(name, to=change))
    fails(path, match)


def test_missing_and_further_tensors_of_other_numbers(path):
    save_distilled(path, coded_set())
    rewrite(path, change_tensors=lambda tensors: tensors.update(images=torch.zeros(1)))
    fails(path, "the tensors")
    save_distilled(path, coded_set(soft=True))
    rewrite(path, change_tensors=lambda tensors: tensors.pop("soft_labels"))
    fails(path, "holds the tensors")


def test_labels_of_other_images_are_not_written(path):
    with pytest.raises(CsdmError, match="labels that are not those of its decoded images"):
        save_distilled(path, replace(coded_set(), labels=coded_set().labels[:-1]))


@pytest.mark.parametrize(
    "recipe", [{"learned_rate": 0.0}, {"learned_rate": "x"}, {"learned_rate": 1e9}, {"lr": "learned"}]
)
def test_a_learned_rate_that_cannot_be(path, recipe):
    with pytest.raises(CsdmError, match="recipe of its own that is not allowed: learned_rate"):
        save_distilled(path, make_set(evaluation=recipe))


def test_a_learned_rate_is_kept(path):
    save_distilled(path, make_set(evaluation={"learned_rate": 0.02}))
    assert load_distilled(path).learned_rate == 0.02 and make_set().learned_rate is None
