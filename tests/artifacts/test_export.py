from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from csdm_cli.artifacts.export import FOLDER_FORMATS, export, folder_names
from csdm_cli.artifacts.file import to_uint8
from csdm_cli.errors import CsdmError, UsageError, in_words
from csdm_cli.foreign.importing import import_foreign
from csdm_cli.names import ExportFormat
from tests.artifacts.sets import cifar_set, dataset_info, make_set


def all_bytes(path):
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return [(file.relative_to(path).as_posix(), file.read_bytes()) for file in files]


@pytest.mark.parametrize("to", [ExportFormat.npz, ExportFormat.pt])
@pytest.mark.parametrize("soft", [False, True])
def test_arrays_come_back_as_the_same_training_images(tmp_path, to, soft):
    distilled = make_set(soft=soft)
    out = export(distilled, to, tmp_path / f"set.{to}").path
    again = import_foreign(out, None, dataset=distilled.dataset, size=8)
    assert torch.equal(again.decoded(), distilled.decoded())
    assert torch.equal(again.decoded_labels(), distilled.decoded_labels())
    assert again.default_labels == distilled.default_labels
    assert torch.equal(again.targets(again.default_labels), distilled.targets(distilled.default_labels))


def test_npz_and_pt_tell_mean_std_and_names(tmp_path):
    distilled = make_set()
    arrays = np.load(export(distilled, ExportFormat.npz, tmp_path / "set.npz").path)
    tensors = torch.load(export(distilled, ExportFormat.pt, tmp_path / "set.pt").path, weights_only=True)
    assert tuple(arrays["class_names"]) == tuple(tensors["class_names"]) == distilled.dataset.class_names
    assert tuple(arrays["mean"]) == tuple(tensors["mean"].tolist()) == distilled.dataset.mean
    assert tuple(arrays["std"]) == tuple(tensors["std"].tolist()) == distilled.dataset.std
    assert arrays["images"].dtype == np.float32 and tensors["images"].min() >= 0 and tensors["images"].max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_image_folder_holds_the_decoded_pixels_in_label_order(tmp_path, channels):
    distilled = make_set(classes=3, channels=channels, dataset=dataset_info(3, channels, class_names=("a", "b", "c")))
    out = export(distilled, ExportFormat.imagefolder, tmp_path / "folder").path
    assert sorted(folder.name for folder in out.iterdir()) == ["a", "b", "c"]
    files = [file for folder in sorted(out.iterdir()) for file in sorted(folder.iterdir())]
    read = torch.from_numpy(np.stack([np.array(Image.open(file)) for file in files]))
    expected = to_uint8(distilled.decoded()).permute(0, 2, 3, 1)
    assert torch.equal(read, expected.squeeze(3) if channels == 1 else expected)
    assert [file.parent.name for file in files] == ["abc"[label] for label in distilled.decoded_labels()]


def test_undecoded_images_reach_the_folder_unchanged(tmp_path):
    distilled = make_set(factor=1)
    out = export(distilled, ExportFormat.imagefolder, tmp_path / "folder").path
    read = [np.array(Image.open(file)) for file in sorted(out.rglob("*.png"))]
    assert np.array_equal(np.stack(read), distilled.images.permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("ant", "bee"), ("ant", "bee")),
        (("dog", "cat"), ("0_dog", "1_cat")),
        (("crane", "crane"), ("0_crane", "1_crane")),
        (("A", "a"), ("0_A", "1_a")),
        (("t-shirt/top", "trouser"), ("t-shirt_top", "trouser")),
        (("..", "x"), ("0__", "1_x")),
        (tuple("k" * (label + 1) for label in range(3)), ("k", "kk", "kkk")),
    ],
)
def test_folder_names_sort_as_the_labels_do(names, expected):
    assert folder_names(names) == expected
    assert sorted(expected) == list(expected)


def test_more_than_ten_unsorted_classes_are_numbered_with_leading_zeros():
    names = folder_names(tuple(f"class {label}" for label in range(12)))
    assert names[2] == "02_class 2" and sorted(names) == list(names)


@pytest.mark.parametrize("to", list(ExportFormat))
def test_the_same_set_gives_the_same_bytes(tmp_path, to):
    ending = "" if to in FOLDER_FORMATS else f".{to}"
    first = export(cifar_set(), to, tmp_path / f"one{ending}").path
    second = export(cifar_set(), to, tmp_path / f"two{ending}").path
    assert all_bytes(first) == all_bytes(second)


@pytest.mark.parametrize("to", list(ExportFormat))
def test_a_file_that_may_not_grow_is_told_in_words_and_nothing_is_left(tmp_path, to):
    resource = pytest.importorskip("resource", reason="the size of files is limited the Unix way")
    distilled, (before, most) = cifar_set(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, most))
    try:
        with pytest.raises((CsdmError, OSError)) as failed:
            export(distilled, to, tmp_path / (f"set.{to}" if to not in FOLDER_FORMATS else "set"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))
    assert isinstance(failed.value, CsdmError) or in_words(failed.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("to", sorted(FOLDER_FORMATS))
def test_a_folder_with_something_in_it_is_not_overwritten(tmp_path, to):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="exists"):
        export(cifar_set(), to, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_a_folder_given_for_a_file_receives_it(tmp_path):
    assert export(make_set(), ExportFormat.npz, tmp_path).path == tmp_path / "distilled.npz"
