from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from csdm_cli.artifacts.file import load_distilled, save_distilled
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.foreign.importing import import_foreign
from csdm_cli.names import LabelKind
from tests.artifacts.sets import dataset_info

INFO = dataset_info()
LABELS = torch.tensor([2, 0, 1, 0, 2, 1])
ORDER = [1, 3, 2, 5, 0, 4]  # where the classes 0, 1 and 2 lie in LABELS


@pytest.fixture
def pixels():
    return torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def bring(images, labels=None, dataset=INFO, size=8, **options):
    return import_foreign(images, labels, dataset=dataset, size=size, **options)


def saved(tmp_path, name, content):
    path = tmp_path / name
    if path.suffix == ".npz":
        np.savez(path, **{key: np.asarray(value) for key, value in content.items()})
    elif path.suffix == ".npy":
        np.save(path, np.asarray(content))
    else:
        torch.save(content, path)
    return path


FORMATS = {
    "csdm.pt": lambda images, labels: {"images": images, "labels": labels},
    "dc.pt": lambda images, labels: {"data": [[images, labels], [images * 0, labels]], "accs_all_exps": {}},
    "idc.pt": lambda images, labels: [images, labels],
    "tuple.pth": lambda images, labels: (images, labels),
    "arrays.npz": lambda images, labels: {"images": images, "labels": labels},
}


@pytest.mark.parametrize("name", FORMATS)
def test_one_file_with_images_and_labels(tmp_path, pixels, name):
    found = bring(saved(tmp_path, name, FORMATS[name](pixels, LABELS)))
    assert torch.equal(found.images, pixels[ORDER])
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.provenance.method == "imported" and found.provenance.config["images"] == name


@pytest.mark.parametrize(
    ("images", "labels"),
    [("images_best.pt", "labels_best.pt"), ("images.npy", "labels.npy"), ("images.npz", "labels.pt")],
)
def test_images_and_labels_in_two_files(tmp_path, pixels, images, labels):
    content = {"anything": pixels} if images.endswith("npz") else pixels
    found = bring(saved(tmp_path, images, content), saved(tmp_path, labels, LABELS))
    assert torch.equal(found.images, pixels[ORDER])


@pytest.mark.parametrize(
    "labels",
    [
        LABELS.int(),
        LABELS.float(),
        LABELS.unsqueeze(1),
        torch.nn.functional.one_hot(LABELS),
        LABELS.tolist(),
        {"labels": LABELS},
    ],
    ids=["int32", "float", "column", "one-hot", "list", "dict"],
)
def test_labels_of_many_kinds(tmp_path, pixels, labels):
    found = bring(saved(tmp_path, "images.pt", pixels), saved(tmp_path, "labels.pt", labels))
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2] and torch.equal(found.images, pixels[ORDER])


def test_probabilities_stay_and_logits_become_probabilities(tmp_path, pixels):
    logits = 3 * torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    order = logits.argmax(1).argsort(stable=True)
    images = saved(tmp_path, "images.pt", pixels)
    for rows in (logits, logits.softmax(1), logits.log_softmax(1)):
        found = bring(images, saved(tmp_path, "labels.pt", rows))
        assert found.default_labels is LabelKind.soft
        assert torch.equal(found.labels, logits.argmax(1)[order])
        torch.testing.assert_close(found.targets(LabelKind.soft), logits.softmax(1)[order])


def test_soft_labels_of_decoded_images_move_with_their_stored_image(tmp_path, pixels):
    rows = torch.rand(24, 3, generator=torch.Generator().manual_seed(1))
    rows = rows / rows.sum(1, keepdim=True)
    path = saved(tmp_path, "set.pt", {"images": pixels, "labels": LABELS, "soft_labels": rows})
    found = bring(path, factor=2)
    assert torch.equal(found.targets(LabelKind.soft), rows.reshape(6, 4, 3)[ORDER].reshape(24, 3))
    assert found.decoded().shape == (24, 3, 8, 8)


def test_soft_labels_of_stored_images_are_repeated_for_each_cell(tmp_path, pixels):
    rows = 0.7 * torch.eye(3)[LABELS] + 0.1
    found = bring(saved(tmp_path, "i.pt", pixels), saved(tmp_path, "l.pt", rows), factor=2)
    assert torch.equal(found.targets(LabelKind.soft), rows[ORDER].repeat_interleave(4, dim=0))


def test_normalised_pixels_are_turned_back(tmp_path, pixels):
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (INFO.mean, INFO.std))
    beyond = pixels * 1.5 - 0.25
    path = saved(tmp_path, "set.pt", [(beyond - mean) / std, LABELS])
    found = bring(path, normalised=True)
    torch.testing.assert_close(found.images, beyond[ORDER])
    assert found.value_range[0] < 0 < 1 < found.value_range[1]


def test_last_channel_and_missing_channel(tmp_path, pixels):
    found = bring(saved(tmp_path, "set.pt", [pixels.permute(0, 2, 3, 1), LABELS]))
    assert torch.equal(found.images, pixels[ORDER])
    grey = bring(saved(tmp_path, "grey.pt", [pixels[:, 0], LABELS]), dataset=dataset_info(3, 1))
    assert torch.equal(grey.images, pixels[ORDER, :1])


def test_uint8_pixels_and_a_smaller_size_than_the_dataset(tmp_path, pixels):
    found = bring(saved(tmp_path, "set.pt", [(pixels * 255).to(torch.uint8), LABELS]), size=16)
    assert found.images.dtype == torch.uint8 and found.decoded().shape == (6, 3, 16, 16)


def test_an_imported_set_can_be_saved_and_its_name_holds_no_path(tmp_path, pixels):
    found = bring(saved(tmp_path, "set.pt", [pixels, LABELS]), evaluation={"steps": 5})
    save_distilled(tmp_path / "distilled.safetensors", found)
    again = load_distilled(tmp_path)
    assert torch.equal(again.images, found.images) and again.evaluation == {"steps": 5}
    assert str(tmp_path) not in str(again.provenance)


def rows(count, columns):
    return torch.ones(count, columns) / columns


BAD_CONTENT = {
    "no labels": (lambda p: p, UsageError, "name their file with --labels-file"),
    "pixels of no known scale": (lambda p: [p * 9 - 40, LABELS], UsageError, "0 to 1, 0 to 255 or -1 to 1"),
    "NaN": (lambda p: [p * float("nan"), LABELS], CsdmError, "not finite"),
    "integers": (lambda p: [(p * 999).int(), LABELS], CsdmError, "int32 pixels from 0 to"),
    "wrong channels": (lambda p: [p[:, :2], LABELS], CsdmError, r"\(6, 2, 8, 8\)"),
    "not square": (lambda p: [p[..., :4], LABELS], CsdmError, r"\(6, 3, 8, 4\)"),
    "no images at all": (lambda p: [p[:0], LABELS[:0]], CsdmError, r"\(0, 3, 8, 8\)"),
    "too few labels": (lambda p: [p, LABELS[:5]], CsdmError, "for 6 images"),
    "labels out of range": (lambda p: [p, LABELS * 2], CsdmError, "0 to 2"),
    "fractions for classes": (lambda p: [p, LABELS + 0.5], CsdmError, "whole"),
    "soft labels of other classes": (lambda p: [p, rows(6, 4)], CsdmError, r"\(6, 4\)"),
    "soft labels of decoded images": (lambda p: [p, rows(24, 3)], CsdmError, "at factor 1"),
    "infinite logits": (lambda p: [p, rows(6, 3) * float("inf")], CsdmError, "finite"),
    "two that may be images": (lambda p: {"theta": p, "phi": p, "psi": LABELS}, CsdmError, "holds theta, phi, psi"),
    "two that may be labels": (lambda p: {"x": p, "a": LABELS, "b": LABELS}, UsageError, "name their file with"),
    "images that differ": (lambda p: [(p[0], 0), (p[1, :, :4], 1)], CsdmError, "differ in shape"),
    "three things": (lambda p: [p, LABELS, LABELS], CsdmError, "not \\[images, labels\\]"),
    "text for labels": (lambda p: [p, "labels"], CsdmError, "labels is a str"),
}


@pytest.mark.parametrize(("content", "error", "match"), BAD_CONTENT.values(), ids=BAD_CONTENT.keys())
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, pixels, content, error, match):
    with pytest.raises(error, match=match) as caught:
        bring(saved(tmp_path, "set.pt", content(pixels)))
    assert "\n" not in str(caught.value)


def test_uint8_and_normalised_contradict_each_other(tmp_path, pixels):
    with pytest.raises(UsageError, match="leave out --normalised"):
        bring(saved(tmp_path, "set.pt", [(pixels * 255).to(torch.uint8), LABELS]), normalised=True)


class Harmful:
    def __reduce__(self):
        return (open, ("harm.txt", "w"))


@pytest.mark.parametrize("name", ["set.pt", "set.npz", "set.npy"])
def test_pickled_code_is_not_run(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    if name.endswith("pt"):
        torch.save([Harmful()], path)
    elif name.endswith("npz"):
        np.savez(path, images=np.array([Harmful()], dtype=object))
    else:
        path.write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(CsdmError, match="not loaded"):
        bring(path)
    assert not (tmp_path / "harm.txt").exists()


@pytest.mark.parametrize("name", ["set.pt", "set.npz", "set.npy"])
@pytest.mark.parametrize("keep", [0, 50, -20])
def test_damaged_files(tmp_path, pixels, name, keep):
    path = saved(tmp_path, name, {"images": pixels} if name.endswith("z") else pixels)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CsdmError, match="damaged"):
        bring(path)


def test_missing_file_folder_and_unknown_ending(tmp_path):
    with pytest.raises(CsdmError, match="does not exist"):
        bring(tmp_path / "no.pt")
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(CsdmError, match="neither folders of pictures"):
        bring(tmp_path / "folder.pt")
    with pytest.raises(UsageError, match="ending in"):
        bring(tmp_path / "set.h5")


def test_images_of_another_size_are_of_another_dataset(tmp_path):
    tiny = saved(tmp_path, "tiny.npz", {"images": torch.rand(6, 3, 3, 3), "labels": LABELS})
    with pytest.raises(CsdmError, match="holds 3×3 images, but the dataset's are 8×8"):
        bring(tiny)
    half = saved(tmp_path, "half.npz", {"images": torch.rand(6, 3, 4, 4), "labels": LABELS})
    assert bring(half).decoding.size == 8


def test_smaller_images_are_enlarged_and_that_is_told(tmp_path, pixels):
    place = saved(tmp_path, "set.pt", [pixels, LABELS])
    found = bring(place, size=16)
    assert "images of 8×8 were enlarged to 16×16" in found.provenance.config["notes"]
    assert found.decoded().shape[-1] == 16
    assert not any("enlarged" in note for note in bring(place).provenance.config["notes"])
