from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from csdm_cli.data import sources
from csdm_cli.data.sources import folder
from csdm_cli.data.sources.reading import Reading
from csdm_cli.errors import MISTAKE, CsdmError, UsageError
from tests.data.pictures import coded, image_folder, noise


def classes(start=0, **kind):
    return {name: [noise(start + 10 * label + index, **kind) for index in range(3)] for label, name in enumerate("ab")}


def fails(call, *says):
    with pytest.raises(CsdmError) as error:
        call()
    for text in says:
        assert text in str(error.value)
    assert "\n" not in str(error.value)
    return error.value


@pytest.mark.parametrize("test_name", ["test", "val"])
def test_a_folder_is_read_in_the_order_of_its_names(tmp_path, test_name):
    image_folder(tmp_path, {"train": classes(), test_name: classes(start=100)})
    raw = sources.load("folder", tmp_path, Reading(), tmp_path)
    assert (raw.class_names, raw.channels, raw.size, raw.origin) == (("a", "b"), 3, 8, "image folder")
    assert raw.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert np.array_equal(raw.train.read([4, 0]), np.stack([noise(11), noise(0)]).transpose(0, 3, 1, 2))
    assert np.array_equal(raw.test.read([0])[0], noise(100).transpose(2, 0, 1))


def test_images_may_lie_deeper_and_other_files_are_ignored(tmp_path):
    image_folder(tmp_path, {"train": classes(), "test": classes(start=100)})
    (tmp_path / "train" / "a" / "deeper").mkdir()
    (tmp_path / "train" / "a" / "00.png").rename(tmp_path / "train" / "a" / "deeper" / "00.PNG")
    (tmp_path / "train" / "a" / "notes.txt").write_text("x")
    (tmp_path / "train" / "a" / "._00.png").write_text("x")
    (tmp_path / "train" / ".hidden").mkdir()
    raw = folder.load(tmp_path, Reading())
    assert raw.train.counts(2) == (3, 3)


def test_an_unlabelled_test_folder_gives_way_to_val(tmp_path):
    image_folder(tmp_path, {"train": classes(), "val": classes(start=100)})
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "00.png").write_bytes(b"")
    assert np.array_equal(folder.load(tmp_path, Reading()).test.read([0])[0], noise(100).transpose(2, 0, 1))


def test_grey_folders_stay_grey(tmp_path):
    image_folder(tmp_path, {"train": classes(channels=1), "test": classes(channels=1)})
    raw = folder.load(tmp_path, Reading(4))
    assert (raw.channels, raw.size) == (1, 4)
    assert raw.train.read(range(6)).shape == (6, 1, 4, 4)


def test_jpeg_folders_are_noticed(tmp_path):
    image_folder(tmp_path, {"train": classes(), "test": classes()}, kind="jpg")
    assert folder.load(tmp_path, Reading()).jpeg is True


def test_images_of_different_sizes_need_a_size(tmp_path):
    other = {"a": [noise(0, 9, 9)], "b": [noise(1)]}
    image_folder(tmp_path, {"train": other, "test": classes()})
    assert isinstance(fails(lambda: folder.load(tmp_path, Reading()), "short sides 9, 8", "--size"), UsageError)


@pytest.mark.parametrize(
    "sets", [{}, {"test": classes()}, {"train": {}, "test": {}}, {"train": {"a": [], "b": []}}], ids="+".join
)
def test_a_folder_without_training_images_is_refused(tmp_path, sets):
    image_folder(tmp_path, sets)
    fails(lambda: folder.load(tmp_path, Reading()), "is not an image folder", "test/CLASS/ or val/CLASS/")


def test_classes_must_agree(tmp_path):
    image_folder(tmp_path / "more", {"train": classes(), "test": classes() | {"c": [noise(0)]}})
    fails(lambda: folder.load(tmp_path / "more", Reading()), "no such class", "add training images", "--classes")
    assert folder.load(tmp_path / "more", Reading(classes=("a", "b"))).class_names == ("a", "b")
    image_folder(tmp_path / "fewer", {"train": classes() | {"c": [noise(0)]}, "test": classes()})
    raw = sources.load("folder", tmp_path / "fewer", Reading(), tmp_path)
    assert raw.class_names == ("a", "b", "c") and raw.test.counts(3) == (3, 3, 0)
    assert raw.remarks == ("1 of 3 classes has no test images, so it is trained on but untested: 'c'",)
    (tmp_path / "fewer" / "test" / "c").mkdir()
    (tmp_path / "fewer" / "test" / "c" / "0.heic").write_bytes(b"")
    fails(lambda: folder.load(tmp_path / "fewer", Reading()), "class 'c' has no test images; its files end in .heic")


def test_empty_classes_are_named(tmp_path):
    image_folder(tmp_path / "one", {"train": classes() | {"c": []}, "test": classes() | {"c": [noise(0)]}})
    fails(lambda: sources.load("folder", tmp_path / "one", Reading(), tmp_path), "class 'c' has no training images")
    image_folder(tmp_path / "all", {"train": {"a": [], "b": []}, "test": classes()})
    (tmp_path / "all" / "train" / "a" / "00.heic").write_bytes(b"")
    fails(lambda: folder.load(tmp_path / "all", Reading()), "no training images", ".png", "end in .heic (1)")


def test_an_unreadable_file_is_named(tmp_path):
    image_folder(tmp_path, {"train": classes(), "test": classes()})
    broken = tmp_path / "train" / "b" / "01.png"
    broken.write_bytes(b"not an image")
    fails(lambda: folder.load(tmp_path, Reading(8)).train.read([4]), str(broken), "remove or replace")


@pytest.mark.parametrize("size", [None, 8])
def test_all_unreadable_files_are_told_at_once(tmp_path, size):
    """Found by their headers or, where the size is given, as images are decoded."""
    grey = {name: [noise(seed, channels=1) for seed in range(9)] for name in "ab"}  # so that all headers are read
    image_folder(tmp_path, {"train": grey, "test": classes(channels=1)})
    files = sorted((tmp_path / "train").rglob("*.png"))
    for file in files[2:9]:
        file.write_bytes(b"not an image")

    def read():
        raw = folder.load(tmp_path, Reading(size, channels=size and 1))
        raw.train.read(range(18))

    with pytest.raises(CsdmError) as error:
        read()
    first, *others = str(error.value).split(MISTAKE)
    assert first == "7 images cannot be read: remove or replace them"
    assert others == [f"{file} is not an image that can be read" for file in files[2:7]] + ["and 2 more"]
    for file in files[2:8]:
        file.unlink()
    fails(
        lambda: folder.load(tmp_path, Reading()), f"{files[8]} is not an image that can be read: remove or replace it"
    )


def test_links_that_lead_nowhere_are_told(tmp_path):
    image_folder(tmp_path, {"train": classes(), "test": classes(start=100)})
    (tmp_path / "train" / "a" / "07.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "train" / "c").symlink_to(tmp_path / "gone")
    links, folders = folder.load(tmp_path, Reading()).remarks
    assert "1 symbolic link is left out" in links and links.endswith("train/a/07.png")
    assert "1 symbolic link is left out" in folders and folders.endswith("train/c")
    for name in "ab":
        for file in (tmp_path / "train" / name).iterdir():
            file.unlink()
            file.symlink_to(tmp_path / "gone.png")
        if name == "a":
            fails(lambda: folder.load(tmp_path, Reading()), "'a' has no training images; its 4 links lead to no file")
    fails(lambda: folder.load(tmp_path, Reading()), "no training images: 7 symbolic links lead to no file", "a/00.png")


def test_the_folder_must_be_named_and_exist(tmp_path):
    error = fails(lambda: sources.load("folder", None, Reading(), tmp_path), "--data-dir DIR", "train/CLASS/")
    assert isinstance(error, UsageError)
    fails(lambda: sources.load("folder", tmp_path / "absent", Reading(), tmp_path), "absent is not a folder")


def test_digits_take_no_folder(tmp_path):
    assert isinstance(
        fails(lambda: sources.load("digits", tmp_path, Reading(), tmp_path), "leave --data-dir out"), UsageError
    )


@pytest.mark.parametrize("layout", [{"train": classes()}, classes()], ids=["train only", "class folders"])
def test_a_folder_may_have_no_test_set(tmp_path, layout):
    if "train" in layout:
        image_folder(tmp_path, layout)
    else:
        image_folder(tmp_path.parent, {tmp_path.name: layout})
    raw = folder.load(tmp_path, Reading())
    assert raw.test is None and raw.train.counts(2) == (3, 3) and raw.class_names == ("a", "b")
    assert [Path(name).name for name in raw.train.names] == ["00.png", "01.png", "02.png"] * 2


def test_what_systems_leave_behind_is_no_class_and_no_image(tmp_path):
    image_folder(tmp_path, {"train": classes(), "test": classes(start=100)})
    for place in ("__MACOSX", ".ipynb_checkpoints", "empty"):
        (tmp_path / "train" / place).mkdir()
    (tmp_path / "train" / "__MACOSX" / "._a.png").write_bytes(b"x")
    for place in (".ipynb_checkpoints", "__MACOSX"):
        (tmp_path / "train" / "a" / place).mkdir()
        (tmp_path / "train" / "a" / place / "00.png").write_bytes(coded(noise(0)))
    raw = folder.load(tmp_path, Reading())
    assert (raw.class_names, raw.train.counts(2), raw.remarks) == (("a", "b"), (3, 3), ())


def test_files_with_other_endings_are_told(tmp_path):
    image_folder(tmp_path, {"train": classes(), "test": classes(start=100)})
    for name in ("1.heic", "2.HEIC", "notes.txt"):
        (tmp_path / "train" / "b" / name).write_bytes(b"x")
    (remark,) = folder.load(tmp_path, Reading()).remarks
    assert remark.startswith("3 files are left out") and remark.endswith(".heic (2), .txt (1)")
    for file in (tmp_path / "train" / "b").glob("*.png"):
        file.unlink()
    fails(lambda: folder.load(tmp_path, Reading()), "class 'b' has no training images; its files end in .heic (2)")


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "JPEG"])
def test_jpeg_has_many_endings(tmp_path, suffix):
    image_folder(tmp_path, {"train": classes(), "test": classes(start=100)}, kind="jpg")
    for file in (tmp_path / "train" / "a").iterdir():
        file.rename(file.with_suffix(f".{suffix}"))
    assert folder.load(tmp_path, Reading()).train.counts(2) == (3, 3)


@pytest.mark.parametrize(
    ("name", "told"), [(b"caf\xe9", "caf\\xe9"), (b"two\nlines", "two\\nlines"), (b"\x1b[31m", "\\x1b[31m")]
)
def test_strange_names_of_files_and_classes_are_read_and_shown_safely(tmp_path, name, told):
    image_folder(tmp_path, {"train": classes(), "test": classes(start=100)})
    name = os.fsdecode(name)
    for part in ("train", "test"):
        (tmp_path / part / "b").rename(tmp_path / part / name)
    strange = tmp_path / "train" / name / f"{name}.png"
    (strange.parent / "00.png").rename(strange)
    raw = folder.load(tmp_path, Reading())
    assert sorted(raw.class_names) == sorted(("a", told)) and raw.train.counts(2) == (3, 3)
    own = raw.train.positions(raw.class_names.index(told)).tolist()
    assert {image.sum().item() for image in raw.train.read(own)} == {noise(seed).sum() for seed in (10, 11, 12)}
    strange.write_bytes(b"no image")
    fails(lambda: folder.load(tmp_path, Reading()).train.read(own), f"{told}.png is not an image")


def test_numbered_classes_are_in_the_order_of_their_numbers(tmp_path):
    numbered = {str(number): [noise(number)] for number in range(12)}
    image_folder(tmp_path, {"train": numbered, "test": numbered})
    assert folder.load(tmp_path, Reading()).class_names == tuple(str(number) for number in range(12))


def test_chosen_classes_are_kept_in_the_order_given(tmp_path):
    three = classes() | {"c": [noise(7)]}
    image_folder(tmp_path, {"train": three, "test": classes(start=100)})  # c has no test images and is not asked for
    raw = sources.load("folder", tmp_path, Reading(classes=("b", "a")), tmp_path)
    assert raw.class_names == ("b", "a")
    assert np.array_equal(raw.train.read(raw.train.positions(0)[:1].tolist())[0], noise(10).transpose(2, 0, 1))
    for wrong in (("b", "e"), ("a", "a")):
        error = fails(lambda wrong=wrong: sources.load("folder", tmp_path, Reading(classes=wrong), tmp_path))
        assert isinstance(error, UsageError)


def test_a_test_set_of_another_size_needs_a_size(tmp_path):
    image_folder(tmp_path, {"train": classes(), "test": classes(height=9, width=9)})
    fails(lambda: folder.load(tmp_path, Reading()), "short sides 8, 9 in", "test/a/00.png", "--size")
    assert folder.load(tmp_path, Reading(8)).test.read([0]).shape == (1, 3, 8, 8)


def test_one_coloured_image_among_many_is_told(tmp_path):
    grey = [noise(seed, channels=1) for seed in range(30)]
    image_folder(tmp_path, {"train": {"a": grey, "b": [*grey, noise(99)]}, "test": classes(channels=1)})
    raw = folder.load(tmp_path, Reading())
    assert raw.channels == 3
    assert "only 1 of 61 training images are in colour" in raw.remarks[0] and "b/30.png" in raw.remarks[0]
    forced = folder.load(tmp_path, Reading(channels=1))
    assert (forced.channels, forced.remarks) == (1, ())
    assert forced.train.read([60]).shape == (1, 1, 8, 8)


def test_tiny_imagenet_given_as_a_folder_is_told_what_it_is(tmp_path):
    (tmp_path / "tiny-imagenet-200" / "val").mkdir(parents=True)
    (tmp_path / "tiny-imagenet-200" / "val" / "val_annotations.txt").write_text("")
    fails(lambda: sources.load("folder", tmp_path, Reading(), tmp_path), "csdm make-lt tinyimagenet --data-dir")


@pytest.mark.parametrize(
    ("train", "test"), [("training", "testing"), ("Training", "Testing"), ("TRAIN", "Validation"), ("train", "testing")]
)
def test_the_sets_may_have_longer_names_in_any_letters(tmp_path, train, test):
    image_folder(tmp_path, {train: classes(), test: classes(start=100)})
    raw = folder.load(tmp_path, Reading())
    assert raw.class_names == ("a", "b") and np.array_equal(raw.train.read([0])[0], noise(0).transpose(2, 0, 1))
    assert np.array_equal(raw.test.read([0])[0], noise(100).transpose(2, 0, 1))


def test_a_class_may_be_called_training(tmp_path):
    image_folder(
        tmp_path.parent, {tmp_path.name: {"training": [noise(0)], "testing": [noise(1)], "resting": [noise(2)]}}
    )
    assert folder.load(tmp_path, Reading()).class_names == ("resting", "testing", "training")


@pytest.mark.parametrize("split", [True, False])
def test_a_lone_folder_around_the_images_is_entered(tmp_path, split):
    """As EuroSAT unpacks to 2750/CLASS, and many to NAME/NAME/train/CLASS."""
    inside = tmp_path / "data" / "2750"
    if split:
        image_folder(inside, {"train": classes(), "test": classes(start=100)})
    else:
        image_folder(inside.parent, {inside.name: classes()})
    (tmp_path / "__MACOSX").mkdir()
    raw, same = folder.load(tmp_path, Reading()), folder.load(inside, Reading())
    assert raw.class_names == ("a", "b") and raw.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert (raw.test is not None) == split and raw.fingerprint == same.fingerprint
    assert raw.remarks == (f"the images are those in {inside}",) and not same.remarks


def test_a_list_beside_the_training_images_is_named(tmp_path):
    """As the datasets library has them: train/metadata.csv."""
    (tmp_path / "train").mkdir()
    for file in ("00.png", "metadata.csv"):
        (tmp_path / "train" / file).write_bytes(coded(noise(0)))
    fails(lambda: folder.load(tmp_path, Reading()), "such as --train-list train/metadata.csv")
