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
        (
            medical(train_images=PICTURES / 50 - 2),
            "the images of train are float64 from -2 to 3.1 (expected 0 to 255, or",
        ),
        (medical(train_images=PICTURES.astype(int) * 2), "are int64 from 0 to 510 (expected 0 to 255"),
        (medical(train_images=PICTURES * np.nan), "are float64 from nan to nan"),
        (medical(train_images=PICTURES.astype(complex)), "are complex128 (expected numbers)"),
        (medical(train_images=PICTURES.reshape(6, -1)), "are uint8 of 6 x 192 (expected N x height x width, alone or"),
        (medical(train_images=PICTURES[..., :2]), "are uint8 of 6 x 8 x 8 x 2 (expected N x height"),
        (medical(train_labels=np.ones((6, 3))), "labels of train are float64 of 6 x 3, for 6 images"),
        (
            medical(train_images=PICTURES / 255, test_images=PICTURES / 1.0, test_labels=LABELS),
            "the images of test have pixels outside 0 to 1, which those of training keep to",
        ),
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


FORMS = {
    "channels first": lambda images: images.transpose(0, 3, 1, 2),
    "floats to 1": lambda images: images / 255,
    "half floats to 255": lambda images: images.astype(np.float16),
    "integers": lambda images: images.astype(np.int64),
    "floats to 1, channels first": lambda images: (images / 255).astype(np.float32).transpose(0, 3, 1, 2),
    "opaque": lambda images: np.concatenate([images, np.full_like(images[..., :1], 255)], 3),
}


@pytest.mark.parametrize("form", FORMS)
def test_images_are_the_same_in_whatever_form(tmp_path, form):
    change = FORMS[form]
    raw = load(
        tmp_path, **medical(train_images=change(PICTURES), test_images=change(PICTURES[:3]), test_labels=LABELS[:3])
    )
    assert np.array_equal(raw.train.read(range(6)), PICTURES.transpose(0, 3, 1, 2))
    assert np.array_equal(raw.test.read([2]), PICTURES[2:3].transpose(0, 3, 1, 2))
    assert raw.channels == 3 and raw.train.labels.tolist() == LABELS.tolist()
    assert bool(raw.remarks) == ("to 1" in form)


def test_grey_images_may_have_an_axis_of_channels_and_be_false_or_true(tmp_path):
    dark = PICTURES[..., 0] > 100
    raw = load(tmp_path, **medical(train_images=dark[:, None]))
    assert raw.channels == 1 and np.array_equal(raw.train.read(range(6))[:, 0], dark * 255)


def test_scale_is_that_of_the_training_images(tmp_path):
    tests = {"test_images": np.ones((1, 8, 8, 3)), "test_labels": LABELS[:1]}
    dim = load(tmp_path, **medical(train_images=PICTURES.astype(float)), **tests).test.read([0])
    white = load(tmp_path, **medical(train_images=PICTURES / 255), **tests).test.read([0])
    assert (int(dim.max()), int(white.min())) == (1, 255)


@pytest.mark.parametrize("labels", [np.eye(3)[LABELS], np.eye(3, dtype=bool)[LABELS], LABELS[:, None] + 1])
def test_labels_may_be_one_hot_or_a_column(tmp_path, labels):
    assert load(tmp_path, **medical(train_labels=labels)).train.labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    "names", ["X_train y_train", "train_x train_y", "images labels", "X y", "train_data train_labels"]
)
def test_arrays_by_other_names(tmp_path, names):
    images, labels = names.split()
    raw = load(tmp_path, **{images: PICTURES, labels: LABELS})
    assert raw.test is None and np.array_equal(raw.train.read([5]), PICTURES[5:].transpose(0, 3, 1, 2))


def test_a_folder_of_arrays(tmp_path):
    packed, single = tmp_path / "packed", tmp_path / "single"
    for place in (packed, single):
        place.mkdir()
    np.savez(packed / "any.npz", **medical())
    for name, array in {"x_train": PICTURES, "y_train": LABELS, "x_test": PICTURES[:3], "y_test": LABELS[:3]}.items():
        np.save(single / f"{name}.npy", array)
    raws = [sources.load("folder", place, Reading(), tmp_path) for place in (packed, packed / "any.npz", single)]
    assert all(np.array_equal(raw.train.read([1]), PICTURES[1:2].transpose(0, 3, 1, 2)) for raw in raws)
    assert raws[0].fingerprint == raws[1].fingerprint != raws[2].fingerprint and len(raws[2].test.labels) == 3
    assert sources.holds_images(single) and sources.holds_images(packed)
    (single / "y_train.npy").unlink()
    fails(lambda: sources.load("folder", single, Reading(), tmp_path), "is not an image folder")
