from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from csdm_cli.data import sources
from csdm_cli.data.sources.reading import Reading
from csdm_cli.errors import CsdmError, UsageError
from tests.data.pictures import noise

PICTURES = np.stack([noise(seed) for seed in range(6)])
LABELS = np.array([2, 0, 1, 0, 1, 2])


def load(tmp_path, **arrays):
    file = tmp_path / "own.npz"
    np.savez(file, **arrays)
    return sources.load("folder", file, Reading(), tmp_path)


def medical(**other):
    """As MedMNIST writes them."""
    return {"train_images": PICTURES, "train_labels": LABELS[:, None].astype(np.uint8)} | other


def fails(call, *says):
    with pytest.raises(CsdmError) as error:
        call()
    for text in says:
        assert text in str(error.value)
    assert "\n" not in str(error.value)
    return error.value


def test_arrays_by_the_names_of_medmnist(tmp_path):
    tests = {
        "val_images": PICTURES[:1],
        "val_labels": LABELS[:1],
        "test_images": PICTURES[3:],
        "test_labels": LABELS[3:],
    }
    raw = load(tmp_path, **medical(**tests))
    assert (raw.class_names, raw.channels, raw.size, raw.origin) == (("0", "1", "2"), 3, 8, "npz")
    assert raw.train.labels.tolist() == LABELS.tolist() and raw.test.labels.tolist() == [0, 1, 2]
    assert np.array_equal(raw.train.read([4, 1]), PICTURES[[4, 1]].transpose(0, 3, 1, 2))
    assert np.array_equal(raw.test.read([0])[0], noise(3).transpose(2, 0, 1))


def test_arrays_by_the_names_of_keras_without_a_test_set(tmp_path):
    raw = load(tmp_path, x_train=PICTURES[..., :1], y_train=LABELS)
    assert (raw.channels, raw.test) == (1, None)
    assert np.array_equal(raw.train.read([2])[0, 0], noise(2)[..., 0])


@pytest.mark.parametrize("kind", [">i8", ">u2", "<f4", ">f8"])
def test_labels_of_any_byte_order_and_whole_floats(tmp_path, kind):
    raw = load(tmp_path, **medical(train_labels=LABELS.astype(kind), val_images=PICTURES, val_labels=LABELS))
    assert raw.train.labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"images": PICTURES}, "holds images (expected train_images and train_labels"),
        (medical(train_images=PICTURES.astype(float)), "the images of train are float64 of 6 x 8 x 8 x 3"),
        (medical(train_images=PICTURES.transpose(0, 3, 1, 2)), "of 6 x 3 x 8 x 8 (expected uint8 of N x height"),
        (medical(train_labels=LABELS[:4]), "labels of train are int64 of 4, for 6 images"),
        (medical(train_labels=np.array([0, 1, np.inf, 0, 1, 2])), "train image 2: the label is inf"),
        (medical(train_labels=np.array([0, 1, 10**12, 0, 1, 2])), "train image 2: the label is 1000000000000"),
        (medical(train_images=PICTURES[:0], train_labels=LABELS[:0]), "train has no images"),
        (medical(train_labels=np.array([None] * 6)), "pickled objects, which are not loaded"),
    ],
)
def test_other_arrays_are_refused_in_one_line(tmp_path, arrays, says):
    fails(lambda: load(tmp_path, **arrays), says)


def test_test_images_of_another_size_need_a_size(tmp_path):
    arrays = medical(test_images=PICTURES[:3, :3, :3], test_labels=LABELS[:3])
    assert isinstance(fails(lambda: load(tmp_path, **arrays), "short sides 8, 3", "--size"), UsageError)


def test_a_forged_shape_is_refused_before_memory_is_taken(tmp_path):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"shape": (10**12, 8, 8), "fortran_order": False, "descr": "|u1"})
    with zipfile.ZipFile(tmp_path / "own.npz", "w") as archive:
        archive.writestr("train_images.npy", buffer.getvalue() + b"few")
    for content in ((tmp_path / "own.npz").read_bytes(), b"PK no archive"):
        (tmp_path / "own.npz").write_bytes(content)
        fails(lambda: sources.load("folder", tmp_path / "own.npz", Reading(), tmp_path), "is damaged or holds pickled")
