from __future__ import annotations

import json
import os
import shutil

import pytest
import torch

from csdm_cli.data.holdout import read_test
from csdm_cli.data.store import Manifest, find_by_fingerprints, newest_longtail, open_longtail, write_longtail
from csdm_cli.errors import CsdmError
from csdm_cli.storage import tensorfile


@pytest.fixture
def copied(digits_longtail, tmp_path):
    """The digits' long-tailed set in a folder that a test may harm."""
    folder = tmp_path / "data" / "copied"
    shutil.copytree(digits_longtail.folder, folder)
    return open_longtail(folder)


def one_line(error: pytest.ExceptionInfo) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_set_is_read_back_as_it_was_written(digits_longtail):
    again = open_longtail(digits_longtail.folder)
    assert again.manifest == digits_longtail.manifest
    for name, images in (("train", again.train()), ("dev", again.dev()), ("test", read_test(again))):
        assert images.fingerprint() == again.manifest.fingerprints[name]
    assert again.train().counts == again.manifest.counts


def test_writing_the_same_set_again_gives_the_same_bytes(digits_longtail, tmp_path):
    parts = digits_longtail.train(), digits_longtail.dev(), read_test(digits_longtail)
    written = write_longtail(tmp_path / "again", digits_longtail.manifest, *parts)
    files = sorted(place.name for place in digits_longtail.folder.iterdir())
    assert files == ["dev.safetensors", "manifest.json", "test.safetensors", "train.safetensors"]
    for name in files:
        assert (written.folder / name).read_bytes() == (digits_longtail.folder / name).read_bytes()


def test_the_manifest_survives_json(digits_longtail, tmp_path):
    text = digits_longtail.manifest.to_text()
    assert Manifest.from_json(json.loads(text), tmp_path) == digits_longtail.manifest


def test_an_older_set_is_replaced(copied, digits_longtail):
    parts = digits_longtail.train(), None, read_test(digits_longtail)
    write_longtail(copied.folder, digits_longtail.manifest, *parts)
    assert not (copied.folder / "dev.safetensors").exists()


def test_a_folder_with_anything_else_in_it_is_left_alone(digits_longtail, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("x")
    parts = digits_longtail.train(), None, read_test(digits_longtail)
    with pytest.raises(CsdmError, match=r"chapter1\.tex.*another --out") as error:
        write_longtail(tmp_path / "thesis", digits_longtail.manifest, *parts)
    one_line(error)
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "x"
    with pytest.raises(CsdmError, match="is a file"):
        write_longtail(tmp_path / "thesis" / "chapter1.tex", digits_longtail.manifest, *parts)


def test_a_folder_without_manifest_is_no_set(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(CsdmError, match="csdm make-lt") as error:
            open_longtail(folder)
        one_line(error)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda text: text[:100], "is not JSON"),
        (lambda text: "[]", "not a JSON object"),
        (lambda text: text.replace('"schema": 2', '"schema": 99'), "schema 2"),
        (lambda text: text.replace('"schema": 2', '"schema": 1'), "schema 2.*run csdm make-lt again"),
        (lambda text: "[" * 100_000, "is not JSON"),
        (lambda text: text.replace('"imbalance"', '"imbalance": NaN, "x"'), "is not JSON"),
        (lambda text: text.replace('"jpeg"', '"jpg"'), "jpeg, jpg"),
        (lambda text: text.replace('"classes": 10', '"classes": 11'), "was changed.*run csdm make-lt again"),
        (lambda text: text.replace('"sha256"', '"sha257"'), "sha256, sha257"),
    ],
)
def test_a_damaged_manifest_is_named(copied, harm, says):
    place = copied.folder / "manifest.json"
    place.write_text(harm(place.read_text()))
    with pytest.raises(CsdmError, match=says) as error:
        open_longtail(copied.folder)
    assert str(place) in one_line(error)


def test_altered_images_are_noticed(copied):
    place = copied.folder / "train.safetensors"
    data = bytearray(place.read_bytes())
    data[-1] ^= 1
    place.write_bytes(bytes(data))
    with pytest.raises(CsdmError, match="do not match manifest") as error:
        copied.train()
    one_line(error)


def test_another_sets_images_are_noticed(copied):
    train = copied.train()
    other = train.images.flip(0)
    tensorfile.save(copied.folder / "train.safetensors", {"images": other}, {})
    with pytest.raises(CsdmError, match="do not match manifest"):
        copied.train()
    tensorfile.save(copied.folder / "train.safetensors", {"images": other[:5]}, {})
    with pytest.raises(CsdmError, match="does not hold the images"):
        copied.train()
    tensorfile.save(copied.folder / "train.safetensors", {"images": torch.zeros(other.shape)}, {})
    with pytest.raises(CsdmError, match="does not hold the images"):
        copied.train()


def test_a_missing_or_truncated_file_is_named(copied):
    place = copied.folder / "train.safetensors"
    place.write_bytes(place.read_bytes()[:200])
    with pytest.raises(CsdmError, match=r"train\.safetensors is damaged"):
        copied.train()
    place.unlink()
    with pytest.raises(CsdmError, match=r"train\.safetensors does not exist"):
        copied.train()


def test_the_newest_set_is_the_one_written_last(copied):
    root = copied.folder.parent
    older = root / "nested" / "older"
    shutil.copytree(copied.folder, older)
    os.utime(older / "manifest.json", ns=(1, 1))
    assert newest_longtail(root).folder == copied.folder
    os.utime(copied.folder / "manifest.json", ns=(0, 0))
    assert newest_longtail(root).folder == older


def test_half_written_sets_are_not_found(copied):
    root = copied.folder.parent
    copied.folder.rename(root / ".copied.123.tmp")
    with pytest.raises(CsdmError, match="csdm make-lt"):
        newest_longtail(root)


def test_without_any_set_the_error_says_how_to_make_one(tmp_path):
    for root in (tmp_path, tmp_path / "absent"):
        with pytest.raises(CsdmError, match="make one first, for example csdm make-lt cifar10") as error:
            newest_longtail(root)
        one_line(error)


def test_a_set_is_found_by_its_images(copied):
    root = copied.folder.parent
    (root / "damaged").mkdir()
    (root / "damaged" / "manifest.json").write_text("{")
    train, test = (copied.manifest.fingerprints[part] for part in ("train", "test"))
    assert find_by_fingerprints(test, data_root=root).folder == copied.folder
    assert find_by_fingerprints(test, train, root).folder == copied.folder
    with pytest.raises(CsdmError, match=r"no long-tailed set in .* has the test set 0123") as error:
        find_by_fingerprints("0123456789abcdef", data_root=root)
    one_line(error)
    with pytest.raises(
        CsdmError, match=r"no .* has the training images 0123.*copied has the same test images"
    ) as error:
        find_by_fingerprints(test, "0123456789abcdef", root)
    one_line(error)
