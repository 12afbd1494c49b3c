from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from csdm_cli.data import sources
from csdm_cli.data.sources.reading import Reading
from csdm_cli.errors import CsdmError, UsageError
from tests.data.pictures import image_folder, noise


def flat(root):
    """root/pictures/00.png to 05.png, noise(0) to noise(5)."""
    return image_folder(root, {"own": {"pictures": [noise(seed) for seed in range(6)]}}) / "own"


def load(root, **lists):
    return sources.load("folder", root, Reading(**lists), root)


def fails(call, *says):
    with pytest.raises(CsdmError) as error:
        call()
    for text in says:
        assert text in str(error.value)
    assert "\n" not in str(error.value)
    return error.value


def same(image, seed):
    return np.array_equal(image, noise(seed).transpose(2, 0, 1))


def test_lines_of_path_and_label_are_read(tmp_path):
    root = flat(tmp_path)
    (root / "pictures" / "05.png").rename(root / "pictures" / "a b.png")
    (root / "train.txt").write_text("pictures/03.png 1\npictures/00.png 0\r\n\npictures/a b.png 1\n")
    (root / "test.txt").write_text("pictures/01.png 1\npictures/02.png 0\n")
    raw = load(root, train_list=root / "train.txt", test_list=root / "test.txt")
    assert (raw.class_names, raw.origin) == (("0", "1"), "image list")
    assert raw.train.labels.tolist() == [1, 0, 1] and raw.test.labels.tolist() == [1, 0]
    assert all(same(image, seed) for image, seed in zip(raw.train.read([0, 1, 2]), (3, 0, 5), strict=True))
    assert list(raw.train.names) == ["pictures/03.png", "pictures/00.png", "pictures/a b.png"]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_tables_are_read_by_their_columns(tmp_path, mark):
    root = flat(tmp_path)
    rows = [("Width", "ClassId", "Path"), ("8", "2", "pictures/04.png"), ("8", "1", "pictures/01.png")]
    (root / "Train.csv").write_text("\n".join(mark.join(row) for row in rows))
    raw = load(root, train_list=root / "Train.csv")
    assert raw.test is None and raw.class_names == ("1", "2") and raw.train.labels.tolist() == [1, 0]
    assert same(raw.train.read([0])[0], 4)


def test_columns_can_be_chosen_and_endings_left_out(tmp_path):
    root = flat(tmp_path)
    (root / "pictures.csv").write_text('lesion,dx,site\n03,"mel, early",a\n01,nv,b\n')
    fails(lambda: load(root, train_list=root / "pictures.csv"), "no column path or file or filename", "--image-column")
    raw = load(root, train_list=root / "pictures.csv", image_column="lesion", label_column="dx")
    assert raw.class_names == ("mel, early", "nv") and same(raw.train.read([0])[0], 3)


def test_a_list_is_also_found_in_the_data_and_its_images_beside_it(tmp_path):
    root = flat(tmp_path)
    (root / "pictures.csv").write_text("filename,label\n00.png,cat\n01.png,dog\n")
    raw = load(root, train_list=root.relative_to(root) / "pictures.csv")
    assert raw.class_names == ("cat", "dog") and same(raw.train.read([1])[0], 1)


@pytest.mark.parametrize("labels", [("a", "b"), ("0", "1")])
def test_class_folders_are_tested_on_a_list(tmp_path, labels):
    image_folder(tmp_path, {"train": {"a": [noise(0)], "b": [noise(1)]}, "val": {}})
    image_folder(tmp_path, {".": {"val": [noise(7), noise(8)]}})
    (tmp_path / "val.csv").write_text(f"filename,label\n00.png,{labels[1]}\n01.png,{labels[0]}\n")
    raw = load(tmp_path, test_list=tmp_path / "val.csv")
    assert raw.test.labels.tolist() == [1, 0] and same(raw.test.read([1])[0], 8)


def test_no_file_outside_the_data_is_opened(tmp_path):
    root = flat(tmp_path)
    image_folder(tmp_path, {"private": {"x": [noise(9)]}})
    for path in ("../private/x/00.png", str(tmp_path / "private" / "x" / "00.png"), "pictures/../../private/x/00.png"):
        (root / "train.txt").write_text(f"pictures/00.png 0\n{path} 1\n")
        fails(lambda: load(root, train_list=root / "train.txt"), "train.txt, line 2", "is no image file in")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.txt", "pictures/00.png\n", "line 1: expected a path and a label"),
        ("a.txt", "", "lists no images"),
        ("a.csv", "", "lists no images"),
        ("a.csv", "path,label\npictures/00.png,0,1\n", "line 2: 3 columns, not 2"),
        ("a.txt", "pictures/00.png 0\npictures/09.png 1\n", "line 2: pictures/09.png is no image file"),
        ("a.txt", "pictures/00.png 0\npictures/01.png 1000000000000\n", "line 2: the label is 1000000000000"),
        ("a.txt", "pictures/00.png 0\npictures/01.png inf\npictures/02.png 3\n", None),
        ("a.txt", "pic\x00ture 0\n", "is no image file"),
        ("a.csv", "path,label\npictures/00.png,0\npictures/01.png,\n", "line 3: no label"),
        ("a.csv", "path,label\n,0\n", "line 2: no path"),
        (
            "a.csv",
            f"path,label\npictures/00.png,{'x' * 200_000}\n",
            "line 2: not a table (no cell has more than 131,072",
        ),
        ("a.csv", "path,label\npictures/00.png,0\npictures/01.png,nan\n", "line 3: no label"),
        ("a.jsonl", '{"image": "pictures/00.png", "label": [1, 2]}\n', "line 1: no label"),
        ("a.jsonl", '{"image": "pictures/00.png", "label": 1}\n[2]\n', "line 2: not a record"),
        ("a.jsonl", "{\n", "line 1: not a record in json"),
        ("a.csv", "path,label\npictures/00.png,0\npictures/00.png,1\n", "line 3: pictures/00.png is 0 and 1"),
        ("a.csv", "path,label,split\npictures/00.png,0,test\n", "lists no training images"),
    ],
)
def test_what_is_wrong_in_a_list_is_told_with_its_line(tmp_path, name, text, says):
    root = flat(tmp_path)
    (root / name).write_text(text)
    if says is None:  # a label that is no number makes all of them names
        assert load(root, train_list=root / name).class_names == ("0", "3", "inf")
    else:
        fails(lambda: load(root, train_list=root / name), says)
    fails(lambda: load(root, train_list=root / "absent.txt"), "absent.txt: No such file")


def test_labels_of_both_lists_are_of_one_kind(tmp_path):
    root = flat(tmp_path)
    (root / "a.txt").write_text("pictures/00.png 0\npictures/01.png 1\n")
    (root / "b.txt").write_text("pictures/02.png cat\n")
    fails(lambda: load(root, train_list=root / "a.txt", test_list=root / "b.txt"), "b.txt, line 1: the label 'cat' is")
    (root / "b.txt").write_text("pictures/02.png 2\n")
    fails(
        lambda: load(root, train_list=root / "a.txt", test_list=root / "b.txt"),
        *("label 2 is none of the 2 classes", "correct it, leave the image out, or add training images of that class"),
    )


def test_the_fingerprint_covers_the_labels(tmp_path):
    root = flat(tmp_path)
    found = set()
    for labels in ((0, 1), (1, 0)):
        (root / "a.txt").write_text(f"pictures/00.png {labels[0]}\npictures/01.png {labels[1]}\n")
        found.add(load(root, train_list=root / "a.txt").fingerprint)
    assert len(found) == 2


def test_a_folder_of_one_class_and_names_in_other_letters(tmp_path):
    error = fails(lambda: load(flat(tmp_path)), "one class folder only (pictures)", "--train-list")
    assert not isinstance(error, UsageError)
    image_folder(
        tmp_path / "big", {"Train": {"a": [noise(0)], "b": [noise(1)]}, "Test": {"a": [noise(2)], "b": [noise(3)]}}
    )
    assert same(load(tmp_path / "big").test.read([1])[0], 3)


INATURALIST = {
    "images": [{"id": 7, "file_name": "pictures/03.png"}, {"id": 9, "file_name": "pictures/00.png"}],
    "annotations": [{"image_id": 9, "category_id": 1}, {"image_id": 7, "category_id": 0}],
}


def test_annotations_in_json_are_a_list(tmp_path):
    root = flat(tmp_path)
    (root / "train.json").write_text(json.dumps(INATURALIST))
    raw = load(root, train_list=root / "train.json")
    assert raw.class_names == ("0", "1") and raw.train.labels.tolist() == [1, 0]
    assert same(raw.train.read([0])[0], 0) and same(raw.train.read([1])[0], 3)


def test_categories_name_the_classes_of_annotations(tmp_path):
    root = flat(tmp_path)
    categories = [{"id": 0, "name": "wren"}, {"id": 1, "name": "auk"}]
    (root / "train.json").write_text(json.dumps(INATURALIST | {"categories": categories}))
    raw = load(root, train_list=root / "train.json")
    assert raw.class_names == ("auk", "wren") and raw.train.labels.tolist() == [0, 1]
    doubled = [{"id": 0, "name": "wren"}, {"id": 1, "name": "wren"}]
    (root / "train.json").write_text(json.dumps(INATURALIST | {"categories": doubled}))
    assert load(root, train_list=root / "train.json").class_names == ("0", "1")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"images": 3}, "not a list of images in json"),
        ({"images": INATURALIST["images"][:1]}, "annotation 0 is of image 9"),
        ({"categories": [{"id": 0, "name": "wren"}]}, "annotation 0 is of category 1"),
        ({"annotations": [{"image_id": 7, "category_id": 0}, {"image_id": 7, "category_id": 1}]}, "03.png is 0 and 1"),
    ],
)
def test_wrong_annotations_are_told_in_one_line(tmp_path, change, says):
    root = flat(tmp_path)
    (root / "train.json").write_text(json.dumps(INATURALIST | change))
    fails(lambda: load(root, train_list=root / "train.json"), "train.json", says)


def test_who_gives_a_folder_of_lists_is_told_of_them(tmp_path):
    root = flat(tmp_path)
    for name in ("Meta.csv", "Train.csv"):
        (root / name).write_text("Path,ClassId\npictures/00.png,0\n")
    fails(lambda: load(root), "such as --train-list Train.csv")


def test_the_columns_of_gtsrb_are_known(tmp_path):
    root = flat(tmp_path)
    header = "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path"
    (root / "Train.csv").write_text(f"{header}\n8,8,1,1,7,7,1,pictures/04.png\n8,8,1,1,7,7,0,pictures/02.png\n")
    raw = load(root, train_list=root / "Train.csv")
    assert raw.train.labels.tolist() == [1, 0] and same(raw.train.read([0])[0], 4)


def rows(mark=",", paths="pictures/{:02}.png"):
    """Images 4, 1 and 3 of classes 1, 0 and 1."""
    return "".join(mark.join((paths.format(image), label)) + "\n" for image, label in ((4, "1"), (1, "0"), (3, "1")))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", rows()),
        ("a.txt", rows()),
        ("a.txt", rows("\t")),
        ("a.csv", "image_name,tags\n" + rows()),
        ("a.csv", "id_code,diagnosis\n" + rows(paths="pictures/{:02}")),
        ("a.csv", ",which,what\n0,pictures/04.png,1\n1,pictures/01.png,0\n2,pictures/03.png,1\n"),
        ("a.csv", '\ufeff"path","label"\n"pictures/04.png","1.0"\n"pictures/01.png","0"\n"pictures/03.png","1"\n'),
        ("a.csv", "path,label\n" + rows(paths="pictures\\{:02}.png")),
        ("a.csv", "path,label\n" + rows(paths="/pictures/{:02}.png")),
        ("a.csv", "image,0,1,2\n04,0,1.0,0\n01,1,0.0,0\n03,0,1,0\n"),
        ("a.jsonl", '{"file_name": "04.png", "label": 1}\n{"file_name": "01.png", "label": 0}\n'
                    '{"file_name": "03.png", "label": 1}\n'),
    ],
    ids=["bare", "commas", "tabs", "other names", "ids", "index", "quoted", "windows", "slash", "one-hot", "records"],
)  # fmt: skip
def test_lists_are_written_in_many_ways(tmp_path, name, text):
    root = flat(tmp_path)
    place = root / "pictures" if text.startswith(("image,0", "{")) else root
    (place / name).write_text(text)
    raw = load(root, train_list=place / name)
    assert [raw.class_names[label] for label in raw.train.labels] == ["1", "0", "1"]
    assert all(same(image, seed) for image, seed in zip(raw.train.read([0, 1, 2]), (4, 1, 3), strict=True))


def test_a_list_of_unicode_text_and_one_of_whole_paths(tmp_path, monkeypatch):
    root = flat(tmp_path)
    (root / "wide.csv").write_text("path,label\n" + rows().replace(",1", ",鳥"), encoding="utf-16")
    assert load(root, train_list=root / "wide.csv").class_names == ("0", "鳥")
    (root / "whole.csv").write_text("path,label\n" + rows(paths=f"{root}/pictures/{{:02}}.png"))
    (tmp_path / "link").symlink_to(root)
    monkeypatch.chdir(tmp_path)
    for place in (root, Path("own"), Path("link")):
        assert same(load(place, train_list=root / "whole.csv").train.read([0])[0], 4)


def test_a_table_tells_the_split_of_its_images(tmp_path):
    root = flat(tmp_path)
    parts = ("train", "val", "Train", "TEST", "train", "val")
    lines = "".join(f"pictures/{image:02}.png,{image // 2 % 2},{part}\n" for image, part in enumerate(parts))
    (root / "all.csv").write_text("path,label,split\n" + lines)
    raw = load(root, train_list=root / "all.csv")
    assert list(raw.train.names) == ["pictures/00.png", "pictures/02.png", "pictures/04.png"]
    assert list(raw.test.names) == ["pictures/03.png"]


def test_an_image_listed_again_is_taken_once(tmp_path):
    root = flat(tmp_path)
    (root / "a.csv").write_text("path,label\n" + rows() + rows())
    (root / "b.csv").write_text("path,label\npictures/03.png,1\npictures/00.png,0\n")
    raw = load(root, train_list=root / "a.csv", test_list=root / "b.csv")
    assert raw.train.labels.tolist() == [1, 0, 1] and raw.test.labels.tolist() == [1, 0]
    again, both = raw.remarks
    assert again.startswith("3 lines") and "1 image of the training set in the test set" in both
