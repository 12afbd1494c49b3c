"""Every layout that other tools write comes in as the images and labels that it holds."""

from __future__ import annotations

import json

import numpy as np
import pyarrow
import pytest
import torch
from pyarrow import parquet
from safetensors.torch import save_file

from csdm_cli.artifacts.export import export
from csdm_cli.artifacts.file import FILE_NAME, save_distilled
from csdm_cli.artifacts.joining import select_classes
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.foreign.importing import import_foreign
from csdm_cli.foreign.whitening import Whitening
from csdm_cli.names import ExportFormat, LabelKind
from tests.artifacts.sets import dataset_info, make_set

C, IPC = 4, 3
LABELS = torch.arange(C).repeat_interleave(IPC)
INFO = dataset_info(C, class_names=("ant", "bee", "cat", "dog"))


@pytest.fixture
def pixels():
    """Smooth images, as photographs are: (12, 3, 8, 8) in [0, 1], multiples of 1/255."""
    rough = torch.rand(C * IPC, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(rough, size=(8, 8), mode="bilinear", align_corners=True)
    return (smooth * 255).round() / 255


def bring(images, labels=None, **options):
    return import_foreign(images, labels, dataset=INFO, size=8, **options)


def notes(found):
    return "; ".join(found.provenance.config["notes"])


def saved(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


def normalised(pixels):
    mean, std = (torch.tensor(value).view(1, -1, 1, 1) for value in (INFO.mean, INFO.std))
    return (pixels - mean) / std


def experiments(pixels):
    accuracies = {"ConvNet": [np.float64(0.26), np.float32(0.5), np.int64(3), np.array([0.1, 0.2])]}
    return {"data": [[normalised(pixels), LABELS], [normalised(1 - pixels), LABELS]], "accs_all_exps": accuracies}


def test_results_with_numpy_accuracies_are_read_and_the_experiment_is_named(tmp_path, pixels):
    path = saved(tmp_path / "res_DM.pt", experiments(pixels))
    first, second = bring(path), bring(path, experiment=2)
    torch.testing.assert_close(first.images, pixels)
    torch.testing.assert_close(second.images, 1 - pixels)
    assert "experiment 1 of 2 was taken (--experiment N takes another)" in notes(first)
    assert "experiment 2 of 2" in notes(second) and "normalised" in notes(second)


@pytest.mark.parametrize("number", [0, 3])
def test_an_experiment_that_is_not_there(tmp_path, pixels, number):
    with pytest.raises(UsageError, match="from 1 to 2"):
        bring(saved(tmp_path / "res.pt", experiments(pixels)), experiment=number)


def test_an_experiment_of_a_file_without_any(tmp_path, pixels):
    with pytest.raises(UsageError, match="leave out --experiment"):
        bring(saved(tmp_path / "set.pt", [pixels, LABELS]), experiment=1)


@pytest.mark.parametrize("names", [("images_best.pt", "labels_best.pt"), ("images_zca_5000.pt", "labels_5000.pt")])
@pytest.mark.parametrize("as_folder", [False, True])
def test_labels_are_found_beside_images(tmp_path, pixels, names, as_folder):
    image_file = saved(tmp_path / names[0], pixels)
    saved(tmp_path / names[1], LABELS)
    saved(tmp_path / "lr_best.pt", torch.tensor(0.01))
    found = bring(tmp_path if as_folder else image_file)
    assert torch.equal(found.images, pixels) and torch.equal(found.labels, LABELS)
    assert names[1] in notes(found) and found.provenance.config["labels"] == names[1]


def test_a_folder_as_ftd_saves_it(tmp_path, pixels):
    """Every evaluated step and the best one, plain tensors apart: whitened by ZCA or normalised, integer labels."""
    for step in (0, 500):
        saved(tmp_path / "logged" / f"images_{step}.pt", normalised(1 - pixels))
        saved(tmp_path / "logged" / f"labels_{step}.pt", LABELS)
    saved(tmp_path / "logged/images_best.pt", normalised(pixels))
    saved(tmp_path / "logged/labels_best.pt", LABELS)
    found = bring(tmp_path / "logged", method="FTD")
    torch.testing.assert_close(found.images, pixels, atol=1e-5, rtol=0)
    assert torch.equal(found.labels, LABELS) and found.soft_labels is None and found.provenance.method == "FTD"
    assert "images_best.pt" in notes(found)


def test_a_folder_as_datm_saves_it(tmp_path, pixels):
    """Labels are learned logits that require gradients, class after class, and the step size lies beside them."""
    logits = torch.full((len(LABELS), C), -2.0)
    logits[torch.arange(len(LABELS)), LABELS] = 3.0
    logits[1, 2] = 4.0  # strays from its class
    for name in ("0", "best"):
        saved(tmp_path / f"images_{name}.pt", normalised(pixels))
        saved(tmp_path / f"labels_{name}.pt", logits.clone().requires_grad_() * 1)
        saved(tmp_path / f"lr_{name}.pt", torch.tensor(0.0123))
    found = bring(tmp_path)
    assert torch.equal(found.labels, LABELS) and found.ipc == (IPC,) * C
    torch.testing.assert_close(found.images, pixels, atol=1e-5, rtol=0)
    assert found.soft_labels is not None
    torch.testing.assert_close(found.soft_labels.probabilities, logits.softmax(1), atol=1e-3, rtol=1e-3)


def test_the_best_of_several_steps_is_taken_from_a_folder(tmp_path, pixels):
    for name, images in (("0", 1 - pixels), ("best", pixels)):
        saved(tmp_path / f"images_{name}.pt", images)
        saved(tmp_path / f"labels_{name}.pt", LABELS)
    assert torch.equal(bring(tmp_path).images, pixels)
    (tmp_path / "images_best.pt").rename(tmp_path / "images_7.pt")
    (tmp_path / "labels_best.pt").rename(tmp_path / "labels_7.pt")
    with pytest.raises(UsageError, match=r"images_0\.pt, images_7\.pt"):
        bring(tmp_path)


@pytest.mark.parametrize(
    "names", [("image", "label"), ("data", "targets"), ("X_syn", "Y_syn"), ("x_proto", "y_proto"), ("x", "y")]
)
def test_arrays_under_other_names(tmp_path, pixels, names):
    content = dict(zip(names, (pixels, LABELS), strict=True))
    np.savez(tmp_path / "set.npz", **{name: value.numpy() for name, value in content.items()})
    save_file(content, tmp_path / "set.safetensors")
    paths = [tmp_path / "set.npz", tmp_path / "set.safetensors", saved(tmp_path / "set.pt", content | {"lr": 0.1})]
    for path in paths:
        found = bring(path)
        assert torch.equal(found.images, pixels) and torch.equal(found.labels, LABELS)


NAMED = {
    "unknown names": lambda p: {"syn_data": p, "syn_label": LABELS},
    "one unknown name": lambda p: {"img": p, "lab": LABELS, "lr": torch.tensor(0.1)},
    "a pair per image": lambda p: [(image, int(label)) for image, label in zip(p, LABELS, strict=True)],
    "five axes": lambda p: p.reshape(C, IPC, 3, 8, 8),
    "five axes and labels": lambda p: [p.reshape(C, IPC, 3, 8, 8), LABELS],
    "texts": lambda p: {"images": p, "labels": [INFO.class_names[label] for label in LABELS]},
    "a pair with texts": lambda p: [p, [INFO.class_names[label] for label in LABELS]],
}


@pytest.mark.parametrize("content", NAMED.values(), ids=NAMED.keys())
def test_what_is_not_named_is_told_by_its_shape_or_kind(tmp_path, pixels, content):
    found = bring(saved(tmp_path / "set.pt", content(pixels)))
    assert torch.equal(found.images, pixels) and torch.equal(found.labels, LABELS)


def test_arrays_without_names_and_labels_in_words(tmp_path, pixels):
    kept = LABELS != 1  # a class without images does not move those behind it
    words = np.array(INFO.class_names)[LABELS]
    np.savez(tmp_path / "two.npz", pixels.numpy(), LABELS.numpy())
    np.savez(tmp_path / "words.npz", images=pixels[kept].numpy(), labels=words[kept])
    assert torch.equal(bring(tmp_path / "two.npz").labels, LABELS)
    assert "arr_0 was taken as the images; arr_1 was taken as the labels" in notes(bring(tmp_path / "two.npz"))
    assert torch.equal(bring(tmp_path / "words.npz").labels, LABELS[kept])


def test_steps_of_images_labels_and_learning_rates_are_joined(tmp_path, pixels):
    steps = [(pixels[i::3], LABELS[i::3], torch.tensor(0.02)) for i in range(3)]
    found = bring(saved(tmp_path / "results.pth", steps))
    assert found.ipc == (3, 3, 3, 3) and "all 3 steps" in notes(found)


@pytest.mark.parametrize("as_mapping", [False, True])
def test_a_tensor_of_images_per_class(tmp_path, pixels, as_mapping):
    parts = dict(enumerate(pixels.split(IPC)))
    found = bring(saved(tmp_path / "set.pt", parts if as_mapping else list(parts.values())))
    assert torch.equal(found.images, pixels) and torch.equal(found.labels, LABELS)


def test_centred_one_hot_labels_are_hard(tmp_path, pixels):
    onehot = torch.eye(C)[LABELS] - 1 / C
    np.savez(tmp_path / "kip.npz", images=pixels.permute(0, 2, 3, 1).numpy(), labels=onehot.numpy())
    found = bring(tmp_path / "kip.npz")
    assert found.soft_labels is None and torch.equal(found.labels, LABELS) and torch.equal(found.images, pixels)


def test_learned_centred_labels_become_probabilities_again(tmp_path, pixels):
    rows = torch.softmax(3 * torch.eye(C)[LABELS] + 0.1 * torch.arange(C), 1)
    found = bring(saved(tmp_path / "frepo.pt", [pixels, rows - 1 / C]))
    torch.testing.assert_close(found.targets(LabelKind.soft), rows)


@pytest.mark.parametrize("order", ["class after class", "the classes in turn"])
def test_classes_go_by_position_where_soft_labels_stray(tmp_path, pixels, order):
    place = LABELS if order == "class after class" else torch.arange(C * IPC) % C
    logits = 4 * torch.eye(C)[place] + torch.rand(C * IPC, C, generator=torch.Generator().manual_seed(1))
    logits[1], logits[7] = logits[1].roll(1), logits[7].roll(1)
    found = bring(saved(tmp_path / "datm.pt", [pixels, logits]))
    assert found.ipc == (IPC,) * C
    assert torch.equal(found.images, pixels[place.argsort(stable=True)])
    assert f"2 of 12 soft labels favour another class: classes go by order, {order}" in notes(found)


def test_soft_labels_without_any_order_keep_their_likeliest_class(tmp_path, pixels):
    place = torch.tensor([3, 0, 2, 1, 0, 0, 3, 2, 1, 0, 2, 0])
    found = bring(saved(tmp_path / "set.pt", [pixels, 4 * torch.eye(C)[place]]))
    assert found.ipc == tuple(torch.bincount(place).tolist())


def test_labels_counted_from_one(tmp_path, pixels):
    found = bring(saved(tmp_path / "set.pt", [pixels, LABELS + 1]))
    assert torch.equal(found.labels, LABELS) and "counted from 1" in notes(found)


SCALES = {
    "0 to 255": (lambda p: p * 255, "divided by 255"),
    "-1 to 1": (lambda p: p * 2 - 1, "taken as [-1, 1]"),
    "a little beyond": (lambda p: p * 1.1 - 0.05, "were kept"),
    "a little beyond and dark": (lambda p: p * 0.4 - 0.1, "were kept"),
    "normalised": (normalised, "taken as normalised"),
}


@pytest.mark.parametrize(("change", "told"), SCALES.values(), ids=SCALES.keys())
def test_scales_are_told_by_the_range_of_values(tmp_path, pixels, change, told):
    found = bring(saved(tmp_path / "set.pt", [change(pixels), LABELS]))
    expected = change(pixels) if told == "were kept" else pixels
    torch.testing.assert_close(found.images, expected, rtol=0, atol=1e-6)
    assert told in notes(found)


def test_whitened_pixels_are_refused_or_undone_with_the_training_set(tmp_path):
    rng = torch.Generator().manual_seed(0)
    rough = torch.rand(200, 3, 5, 5, generator=rng)
    smooth = torch.nn.functional.interpolate(rough, size=(8, 8), mode="bilinear", align_corners=True)
    train = (smooth * 255).to(torch.uint8)
    whitening, images = Whitening.fit(train), train[: C * IPC].float() / 255
    path = saved(tmp_path / "set.pt", [whitening.apply(images), LABELS])
    with pytest.raises(UsageError, match="ZCA-whitened"):
        bring(path)
    found = bring(path, unwhiten=whitening.undo)
    torch.testing.assert_close(found.images, images, rtol=0, atol=1e-5)
    assert found.provenance.config["whitened"] and "ZCA" in notes(found)


def picture_folder(root, pixels, names, labels=LABELS):
    from PIL import Image

    for index, label in enumerate(labels.tolist()):
        folder = root / names[label]
        folder.mkdir(parents=True, exist_ok=True)
        array = (pixels[index] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        Image.fromarray(array).save(folder / f"{index:03}.png")
    return root


@pytest.mark.parametrize(
    "names",
    [
        ("ant", "bee", "cat", "dog"),
        ("new000", "new001", "new002", "new003"),
        ("0", "1", "2", "3"),
        ("n01440764", "n02102040", "n02979186", "n03000684"),
    ],
)
def test_class_folders_of_pictures(tmp_path, pixels, names):
    found = bring(picture_folder(tmp_path / "syn_data", pixels, names))
    assert torch.equal(found.unit_images(), pixels) and torch.equal(found.labels, LABELS)


def test_class_folders_by_name_in_another_order_than_the_datasets(tmp_path, pixels):
    info = dataset_info(C, class_names=("dog", "cat", "bee", "ant"))
    folder = picture_folder(tmp_path / "set", pixels, ("ant", "bee", "cat", "dog"))
    found = import_foreign(folder, None, dataset=info, size=8)
    assert torch.equal(found.unit_images(), pixels.reshape(C, IPC, 3, 8, 8).flip(0).flatten(0, 1))


def test_class_folders_numbered_from_one_go_by_number(tmp_path):
    """As texts, 10 stands before 2."""
    info = dataset_info(10, class_names=tuple("abcdefghij"))
    images = torch.arange(10).reshape(10, 1, 1, 1).expand(10, 3, 8, 8) / 255
    found = import_foreign(
        picture_folder(tmp_path / "set", images, [str(n) for n in range(1, 11)], torch.arange(10)),
        None,
        dataset=info,
        size=8,
    )
    assert (found.unit_images()[:, 0, 0, 0] * 255).round().tolist() == list(range(10)) == found.labels.tolist()


def test_class_folders_that_lead_nowhere(tmp_path, pixels):
    folder = picture_folder(tmp_path / "set", pixels, ("x", "y", "z", "z"))
    with pytest.raises(UsageError, match="names its 3 classes x, y, z"):
        bring(folder)


@pytest.mark.parametrize("to", [ExportFormat.imagefolder, ExportFormat.npz, ExportFormat.pt])
@pytest.mark.parametrize("names", [("ant", "bee", "cat"), ("dog", "cat", "t-shirt/top")])
def test_our_own_exports_come_back(tmp_path, to, names):
    info = dataset_info(3, class_names=names)
    distilled = make_set(factor=1, dataset=info)
    out = export(distilled, to, tmp_path / f"out.{to}").path
    found = import_foreign(out, None, dataset=info, size=8)
    assert torch.equal(found.unit_images(), distilled.unit_images()) and torch.equal(found.labels, distilled.labels)


@pytest.mark.parametrize("to", [ExportFormat.npz, ExportFormat.pt])
def test_our_own_exports_go_by_the_names_of_their_classes(tmp_path, to):
    """The numbers alone lead elsewhere where some classes are left out, or the dataset has them in another order."""
    info, other = (dataset_info(3, class_names=names) for names in (("ant", "bee", "cat"), ("cat", "ant", "bee")))
    distilled = make_set(factor=1, dataset=info)
    whole = import_foreign(export(distilled, to, tmp_path / f"whole.{to}").path, None, dataset=other, size=8)
    part = select_classes(distilled, ["bee", "cat"])
    some = import_foreign(export(part, to, tmp_path / f"part.{to}").path, None, dataset=info, size=8)
    for name in info.class_names:
        expected = distilled.unit_images()[distilled.labels == info.class_names.index(name)]
        assert torch.equal(whole.unit_images()[whole.labels == other.class_names.index(name)], expected)
        there = some.unit_images()[some.labels == info.class_names.index(name)]
        assert torch.equal(there, expected if name != "ant" else expected[:0])


@pytest.mark.parametrize("with_names", [True, False])
def test_parquet_with_and_without_names_of_classes(tmp_path, pixels, with_names):
    files = sorted(picture_folder(tmp_path / "pictures" / "all", pixels, ("a", "b", "c", "d")).rglob("*.png"))
    coded = [{"bytes": file.read_bytes(), "path": None} for file in files]
    table = pyarrow.table({"image": coded, "label": LABELS.flip(0).tolist()})
    if with_names:
        features = {"info": {"features": {"label": {"names": ["dog", "cat", "bee", "ant"]}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    parquet.write_table(table, tmp_path / "train-00000-of-00001.parquet")
    expected = pixels if with_names else pixels.reshape(C, IPC, 3, 8, 8).flip(0).flatten(0, 1)
    for path in (tmp_path, tmp_path / "train-00000-of-00001.parquet"):
        assert torch.equal(bring(path).unit_images(), expected)


def test_unequal_counts_and_a_missing_class(tmp_path, pixels):
    keep = torch.tensor([0, 1, 2, 3, 6])
    found = bring(saved(tmp_path / "set.pt", [pixels[keep], LABELS[keep]]))
    assert found.ipc == (3, 1, 1, 0)


def test_our_own_artifact_needs_no_import(tmp_path):
    save_distilled(tmp_path / FILE_NAME, make_set())
    for path in (tmp_path, tmp_path / FILE_NAME):
        with pytest.raises(UsageError, match="needs no import"):
            import_foreign(path, None, dataset=make_set().dataset, size=8)


ODD_TENSORS = {
    "sparse": lambda p: p.to_sparse(),
    "meta": lambda p: p.to("meta"),
    "complex": lambda p: p + 0j,
}


@pytest.mark.parametrize("change", ODD_TENSORS.values(), ids=ODD_TENSORS.keys())
def test_tensors_that_are_not_plain(tmp_path, pixels, change):
    with pytest.raises(CsdmError, match="plain"):
        bring(saved(tmp_path / "set.pt", [change(pixels), LABELS]))


def test_parameters_and_other_precisions(tmp_path, pixels):
    for number, images in enumerate([torch.nn.Parameter(pixels), pixels.double(), pixels.requires_grad_()]):
        found = bring(saved(tmp_path / f"{number}.pt", [images, LABELS]))
        assert torch.equal(found.images, pixels) and not found.images.requires_grad


def test_objects_are_named_and_not_loaded(tmp_path, pixels):
    path = saved(tmp_path / "set.pt", torch.utils.data.TensorDataset(pixels, LABELS))
    with pytest.raises(CsdmError, match=r"TensorDataset.*save plain tensors"):
        bring(path)


def test_arrays_of_objects_are_not_loaded(tmp_path):
    with pytest.raises(CsdmError, match="damaged or holds more"):
        bring(saved(tmp_path / "set.pt", {"images": np.array(["text"], dtype=object)}))


@pytest.mark.parametrize("ending", ["npy", "NPY"])
def test_an_array_of_its_own_with_labels_beside_it(tmp_path, pixels, ending):
    for name, array in (("images", pixels), ("labels", LABELS)):
        with (tmp_path / f"{name}.{ending}").open("wb") as file:
            np.save(file, array.numpy())
    found = bring(tmp_path / f"images.{ending}")
    assert torch.equal(found.decoded(), pixels) and torch.equal(found.labels, LABELS)
