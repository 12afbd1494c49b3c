from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from csdm_cli.data import sources
from csdm_cli.data.sources.reading import Reading
from csdm_cli.errors import CsdmError, UsageError
from tests.data.pictures import image_folder, noise


def tiny(root, annotations="val_0.JPEG\tn02\t0\t0\t62\t62\nval_1.JPEG\tn01\t0\t0\t62\t62\n"):
    sets = {wnid: {"images": [noise(10 * label + index, 64, 64) for index in range(2)]} for label, wnid in WNIDS}
    image_folder(root / "train", sets)
    (root / "val" / "images").mkdir(parents=True)
    for index in range(2):
        Image.fromarray(noise(90 + index, 64, 64)).save(root / "val" / "images" / f"val_{index}.JPEG", quality=95)
    (root / "val" / "val_annotations.txt").write_text(annotations)
    (root / "words.txt").write_text("n01\tgoldfish, Carassius auratus\nn02\tcrane\nn03\tcrane\n")
    return root


WNIDS = list(enumerate(["n01", "n02"]))


@pytest.mark.parametrize("inner", ["", "tiny-imagenet-200"])
def test_the_folder_layout_is_read(tmp_path, inner):
    tiny(tmp_path / inner)
    raw = sources.load("tinyimagenet", tmp_path, Reading(), tmp_path)
    assert raw.class_names == ("goldfish", "crane")
    assert (raw.size, raw.channels) == (64, 3)
    assert raw.train.labels.tolist() == [0, 0, 1, 1]
    assert raw.test.labels.tolist() == [1, 0]
    assert np.array_equal(raw.train.read([2])[0], noise(10, 64, 64).transpose(2, 0, 1))


def test_words_that_name_two_classes_are_not_used(tmp_path):
    tiny(tmp_path)
    (tmp_path / "words.txt").write_text("n01\tcrane, bird\nn02\tcrane, machine\n")
    assert sources.load("tinyimagenet", tmp_path, Reading(), tmp_path).class_names == ("n01", "n02")


def test_sorted_validation_images_are_read_as_well(tmp_path):
    tiny(tmp_path)
    (tmp_path / "val" / "val_annotations.txt").unlink()
    for index, wnid in enumerate(["n02", "n01"]):
        (tmp_path / "val" / wnid).mkdir()
        (tmp_path / "val" / "images" / f"val_{index}.JPEG").rename(tmp_path / "val" / wnid / f"val_{index}.JPEG")
    (tmp_path / "val" / "images").rmdir()
    assert sources.load("tinyimagenet", tmp_path, Reading(), tmp_path).test.labels.tolist() == [0, 1]


def test_annotations_of_unknown_classes_are_named(tmp_path):
    tiny(tmp_path, annotations="val_0.JPEG\tn02\t0\nval_1.JPEG\tn77\t0\n")
    with pytest.raises(CsdmError, match=r"val_annotations\.txt, line 2: no training class is called 'n77'") as error:
        sources.load("tinyimagenet", tmp_path, Reading(), tmp_path)
    assert "\n" not in str(error.value)


def test_an_annotated_file_that_is_missing_is_named(tmp_path):
    tiny(tmp_path, annotations="val_0.JPEG\tn02\t0\nval_7.JPEG\tn01\t0\n")
    with pytest.raises(CsdmError, match=r"line 2: .*val_7\.JPEG does not exist"):
        sources.load("tinyimagenet", tmp_path, Reading(), tmp_path)


def test_it_is_not_downloaded(tmp_path):
    with pytest.raises(UsageError, match=r"--data-dir DIR \(the unpacked tiny-imagenet-200"):
        sources.load("tinyimagenet", None, Reading(), tmp_path)
