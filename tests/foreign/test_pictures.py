"""Folders of pictures, one for each class."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from csdm_cli.foreign.pictures import class_folders, read_pictures


def write(place, level: int, size: int = 4) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size, size), level, dtype=np.uint8)).save(place)


def test_classes_are_folders_in_the_order_of_their_names(tmp_path):
    write(tmp_path / "b" / "0.png", 20)
    write(tmp_path / "a" / "1.png", 11)
    write(tmp_path / "a" / "0.png", 10)
    (tmp_path / "empty").mkdir()
    folders = class_folders(tmp_path)
    assert [folder.name for folder in folders] == ["a", "b"]
    images, labels, names = read_pictures(folders, 1)
    assert names == ("a", "b") and labels.tolist() == [0, 0, 1]
    assert images.shape == (3, 1, 4, 4) and images[:, 0, 0, 0].tolist() == [10, 11, 20]


def test_a_lone_folder_around_them_is_looked_into_and_one_of_the_usual_names(tmp_path):
    write(tmp_path / "anything" / "a" / "0.png", 1)
    assert [folder.name for folder in class_folders(tmp_path)] == ["a"]
    assert class_folders(tmp_path, deeper=False) == []
    (tmp_path / "other").mkdir()
    assert class_folders(tmp_path) == []
    write(tmp_path / "syn" / "c" / "0.png", 1)
    assert [folder.name for folder in class_folders(tmp_path)] == ["c"]


def test_all_have_the_commonest_short_side(tmp_path):
    for number, size in enumerate((4, 6, 4)):
        write(tmp_path / "a" / f"{number}.png", 7, size)
    images, _, _ = read_pictures(class_folders(tmp_path), 3)
    assert images.shape == (3, 3, 4, 4) and torch.equal(images.unique(), torch.tensor([7], dtype=torch.uint8))
