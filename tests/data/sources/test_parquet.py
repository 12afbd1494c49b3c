from __future__ import annotations

import json
import math

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet as pyarrow_parquet

from csdm_cli.data import sources
from csdm_cli.data.sources import parquet, parquet_files, pixels
from csdm_cli.data.sources.reading import Reading
from csdm_cli.errors import CsdmError, UsageError
from tests.data.pictures import coded, image_folder, noise, parquet_file

NAMES = ("ant", "bee")


def images(count, start=0, **kind):
    return [coded(noise(seed, **kind)) for seed in range(start, start + count)]


def dataset(root, **kind):
    """Ten training images, four test images, labels 0 and 1 in turn."""
    parquet_file(root / "train-00000-of-00001.parquet", images(10, **kind), [0, 1] * 5, NAMES)
    parquet_file(root / "test-00000-of-00001.parquet", images(4, start=50, **kind), [0, 1] * 2, NAMES)
    return root


def table(path, columns, metadata=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow_parquet.write_table(pyarrow.table(columns).replace_schema_metadata(metadata), path)


def fails(call, *says):
    with pytest.raises(CsdmError) as error:
        call()
    for text in says:
        assert text in str(error.value)
    assert "\n" not in str(error.value)
    return error.value


def test_rows_names_and_labels_are_read(tmp_path):
    raw = parquet.load(dataset(tmp_path), Reading())
    assert (raw.class_names, raw.channels, raw.size, raw.jpeg, raw.origin) == (NAMES, 3, 8, False, "parquet")
    assert raw.train.labels.tolist() == [0, 1] * 5
    assert raw.test.counts(2) == (2, 2)
    wanted = [7, 0, 9, 3]
    assert np.array_equal(raw.train.read(wanted), np.stack([noise(row).transpose(2, 0, 1) for row in wanted]))
    assert np.array_equal(raw.test.read([3])[0], noise(53).transpose(2, 0, 1))
    assert raw.train.read([]).shape == (0, 3, 8, 8)


def test_any_named_dataset_is_found_in_parquet(tmp_path):
    for source in ("cifar10", "cifar100", "svhn", "fashion-mnist", "tinyimagenet", "folder"):
        raw = sources.load(source, dataset(tmp_path / source), Reading(8), tmp_path / "cache")
        assert raw.origin == "parquet" and raw.class_names == NAMES


def test_grey_images_stay_grey_and_one_coloured_makes_all_coloured(tmp_path):
    assert parquet.load(dataset(tmp_path / "grey", channels=1), Reading()).channels == 1
    mixed = dataset(tmp_path / "mixed", channels=1)
    data = images(9, channels=1) + images(1, start=9)
    parquet_file(mixed / "train-00000-of-00001.parquet", data, [0, 1] * 5, NAMES)
    assert parquet.load(mixed, Reading()).channels == 3


def test_jpeg_bytes_are_noticed(tmp_path):
    root = dataset(tmp_path)
    parquet_file(root / "train-00000-of-00001.parquet", [coded(noise(0), "JPEG")] * 4, [0, 1] * 2, NAMES)
    assert parquet.load(root, Reading()).jpeg is True


def test_shards_are_one_table(tmp_path):
    dataset(tmp_path)
    whole = parquet.load(tmp_path, Reading())
    expected = whole.train.read([9, 4, 0])
    (tmp_path / "train-00000-of-00001.parquet").unlink()
    for shard, (first, last) in enumerate([(0, 4), (4, 5), (5, 10)]):
        labels = ([0, 1] * 5)[first:last]
        parquet_file(tmp_path / f"train-{shard:05}-of-00003.parquet", images(10)[first:last], labels, NAMES)
    shards = parquet.load(tmp_path, Reading())
    assert shards.train.labels.equal(whole.train.labels)
    assert shards.train.read([9, 4, 0]).equal(expected)


def test_a_missing_shard_is_named(tmp_path):
    dataset(tmp_path)
    (tmp_path / "train-00000-of-00001.parquet").rename(tmp_path / "train-00000-of-00002.parquet")
    fails(lambda: parquet.load(tmp_path, Reading()), "one of 2 shards", "shard 1 is missing")


@pytest.mark.parametrize("layout", ["{split}.parquet", "data/{split}-0.parquet", "plain_text/{split}/0000.parquet"])
def test_other_layouts(tmp_path, layout):
    for split, start in (("train", 0), ("validation", 50)):
        parquet_file(tmp_path / layout.format(split=split), images(4, start), [0, 1] * 2, NAMES)
    raw = parquet.load(tmp_path, Reading())
    assert np.array_equal(raw.test.read([1])[0], noise(51).transpose(2, 0, 1))


def test_columns_and_labels_by_other_names(tmp_path):
    for split in ("train", "test"):
        path = tmp_path / f"{split}.parquet"
        parquet_file(path, images(4), [1, 0, 1, 0], NAMES, columns=("img", "fine_label"))
    assert parquet.load(tmp_path, Reading()).train.labels.tolist() == [1, 0, 1, 0]


def test_without_names_in_the_metadata(tmp_path):
    for split in ("train", "test"):
        parquet_file(tmp_path / "numbers" / f"{split}.parquet", images(3), [2, 0, 1])
        parquet_file(tmp_path / "texts" / f"{split}.parquet", images(3), ["cat", "ant", "bee"])
    assert parquet.load(tmp_path / "numbers", Reading()).class_names == ("0", "1", "2")
    texts = parquet.load(tmp_path / "texts", Reading())
    assert texts.class_names == ("ant", "bee", "cat")
    assert texts.train.labels.tolist() == [2, 0, 1]


def test_a_test_set_with_withheld_labels_gives_way_to_the_validation_set(tmp_path):
    dataset(tmp_path)
    parquet_file(tmp_path / "test-00000-of-00001.parquet", images(4), [-1] * 4, NAMES)
    fails(lambda: parquet.load(tmp_path, Reading()), "withholds its labels")
    parquet_file(tmp_path / "val.parquet", images(2, start=70), [0, 1], NAMES)
    assert np.array_equal(parquet.load(tmp_path, Reading()).test.read([0])[0], noise(70).transpose(2, 0, 1))


def test_the_fingerprint_is_of_the_contents(tmp_path):
    first = parquet.load(dataset(tmp_path / "a"), Reading()).fingerprint
    assert parquet.load(dataset(tmp_path / "b"), Reading()).fingerprint == first
    parquet_file(tmp_path / "b" / "train-00000-of-00001.parquet", images(10, start=1), [0, 1] * 5, NAMES)
    assert parquet.load(tmp_path / "b", Reading()).fingerprint != first


def test_an_unreadable_image_is_named_with_its_row(tmp_path):
    dataset(tmp_path)
    data = images(4)
    data[2] = data[2][:50]
    parquet_file(tmp_path / "train-00000-of-00001.parquet", data, [0, 1] * 2, NAMES)
    raw = parquet.load(tmp_path, Reading(8))
    fails(lambda: raw.train.read([0, 1, 2]), "train-00000-of-00001.parquet, row 2", "remove or replace")


def test_missing_bytes_are_named_with_their_row(tmp_path):
    dataset(tmp_path)
    data = images(3)
    parquet_file(tmp_path / "train-00000-of-00001.parquet", [*data, None], [0, 1] * 2, NAMES)
    fails(lambda: parquet.load(tmp_path, Reading(8)), "row 3 holds no image bytes")


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([0, 1, None, 1], "row 2: the label is None"),
        ([0, 1, 2, 1], "row 2: the label 2 is none of the 2 classes"),
        ([0.5] * 4, "label is 0.5"),
    ],
)
def test_wrong_labels_are_named(tmp_path, labels, says):
    dataset(tmp_path)
    parquet_file(tmp_path / "train-00000-of-00001.parquet", images(4), labels, NAMES)
    fails(lambda: parquet.load(tmp_path, Reading()), says)


def test_columns_that_can_only_be_one_thing_are_taken(tmp_path):
    for part in ("train", "test"):
        parquet_file(tmp_path / f"{part}.parquet", images(4), [1, 0, 1, 0], columns=("picture", "digit"))
    assert parquet.load(tmp_path, Reading()).train.labels.tolist() == [1, 0, 1, 0]


def test_columns_can_be_chosen(tmp_path):
    for part in ("train", "test"):
        cells = pyarrow.array([{"bytes": data} for data in images(4)])
        columns = {"photo": cells, "other": cells, "fine": [3, 1, 2, 0], "coarse": [1, 0, 1, 0]}
        table(tmp_path / f"{part}.parquet", columns)
    fails(lambda: parquet.load(tmp_path, Reading()), "it has photo, other, fine, coarse", "--label-column")
    fails(lambda: parquet.load(tmp_path, Reading(label_column="coarse")), "--image-column")
    raw = parquet.load(tmp_path, Reading(image_column="photo", label_column="coarse"))
    assert raw.train.labels.tolist() == [1, 0, 1, 0]
    fails(lambda: parquet.load(tmp_path, Reading(image_column="nose", label_column="fine")), "no column nose")


PRIVATE = "/etc/hostname"


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ([PRIVATE] * 4, "column image holds texts, not image bytes"),
        ([{"path": PRIVATE}] * 4, "column image holds struct<path: string>, not image bytes"),
        ([{"bytes": None, "path": PRIVATE}] * 4, "column image holds struct<bytes: null"),
        ([[1, 2, 3]] * 4, "column image holds list<"),
        ([7] * 4, "column image holds int64, not image bytes"),
    ],
)
@pytest.mark.parametrize("shard", ["only", "second", "test"])
def test_what_is_no_image_is_refused_and_no_path_is_opened(tmp_path, monkeypatch, cells, says, shard):
    dataset(tmp_path)
    strange = {"image": cells, "label": [0, 1] * 2}
    if shard == "only":
        table(tmp_path / "train-00000-of-00001.parquet", strange)
    elif shard == "test":
        table(tmp_path / "test-00000-of-00001.parquet", strange)
    else:
        (tmp_path / "train-00000-of-00001.parquet").rename(tmp_path / "train-00000-of-00002.parquet")
        table(tmp_path / "train-00001-of-00002.parquet", strange)
    opened = []
    monkeypatch.setattr(
        pixels, "open_image", lambda coded, where, real=pixels.open_image: (opened.append(coded), real(coded, where))[1]
    )
    fails(lambda: parquet.load(tmp_path, Reading()).test.read([0]), says)
    assert all(isinstance(data, bytes) for data in opened)


@pytest.mark.parametrize("channels", [1, 3])
def test_nested_lists_of_pixels_are_images(tmp_path, channels):
    pictures = [noise(seed, channels=channels) for seed in range(4)]
    for part in ("train", "test"):
        table(tmp_path / f"{part}.parquet", {"image": [one.tolist() for one in pictures], "label": [0, 1] * 2})
    raw = parquet.load(tmp_path, Reading())
    assert (raw.channels, raw.size, raw.jpeg) == (channels, 8, False)
    assert np.array_equal(raw.train.read([2])[0], pictures[2].reshape(8, 8, channels).transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ([[1, 2], [3]], "row 1 holds rows of unequal length"),
        ([[1, 2], [3, 256]], "row 1 holds numbers from 1 to 256"),
        ([[-1, 2], [3, 4]], "row 1 holds numbers from -1 to 4"),
        ([[None, 2], [3, 4]], "row 1 holds 2 x 2 values of object"),
        ([[]], "row 1 holds 1 x 0 values"),
        ([], "row 1 holds no image bytes"),
    ],
)
def test_nested_lists_that_are_no_pixels_are_named(tmp_path, cell, says):
    for part in ("train", "test"):
        table(tmp_path / f"{part}.parquet", {"image": [[[1, 2], [3, 4]], cell], "label": [0, 1]})
    fails(lambda: parquet.load(tmp_path, Reading()), says)


@pytest.mark.parametrize("label", [10**12, 2**64 - 1, 5_000_000, 99, -3])
def test_a_label_far_out_is_refused_with_its_row(tmp_path, label):
    kind = pyarrow.uint64() if label > 2**62 else pyarrow.int64()
    for part in ("train", "test"):
        cells = pyarrow.array([{"bytes": data} for data in images(4)])
        table(tmp_path / f"{part}.parquet", {"image": cells, "label": pyarrow.array([0, 1, label, 2], kind)})
    says = f"train.parquet, row 2: the label is {label}, but the 4 different labels should be the numbers 0 to 3"
    fails(lambda: parquet.load(tmp_path, Reading()), says)


def test_labels_may_start_at_1_or_be_whole_floats_or_switches(tmp_path):
    for name, labels in (("one", [2, 1, 2, 1]), ("float", [1.0, 0.0, 1.0, 0.0]), ("bool", [True, False] * 2)):
        for part in ("train", "test"):
            parquet_file(tmp_path / name / f"{part}.parquet", images(4), labels)
        raw = parquet.load(tmp_path / name, Reading())
        assert raw.train.labels.tolist() == [1, 0, 1, 0]
        assert raw.class_names == (("1", "2") if name == "one" else ("0", "1"))


@pytest.mark.parametrize("value", [0.5, math.inf, math.nan, [0, 1], b"a"])
def test_other_labels_are_named(tmp_path, value):
    dataset(tmp_path)
    labels = [value] if isinstance(value, list | bytes) else [0.0, value]
    parquet_file(tmp_path / "train-00000-of-00001.parquet", images(len(labels)), labels, NAMES)
    fails(lambda: parquet.load(tmp_path, Reading()), f"row {len(labels) - 1}: the label is")


def test_class_names_must_agree_between_files(tmp_path):
    dataset(tmp_path)
    test = tmp_path / "test-00000-of-00001.parquet"
    parquet_file(test, images(4), [0, 1] * 2, ("bee", "ant"))
    fails(lambda: parquet.load(tmp_path, Reading()), f"{test} has other class names than")
    dataset(tmp_path)
    (tmp_path / "train-00000-of-00001.parquet").rename(tmp_path / "train-00000-of-00002.parquet")
    second = tmp_path / "train-00001-of-00002.parquet"
    parquet_file(second, images(4), [0, 1] * 2, ("bee", "ant"))
    fails(lambda: parquet.load(tmp_path, Reading()), f"{second} has other class names than")


def test_texts_and_numbers_are_not_mixed(tmp_path):
    texts, numbers = ["ant", "bee"] * 2, [0, 1] * 2
    for part, labels in (("train", texts), ("test", numbers)):
        parquet_file(tmp_path / "sets" / f"{part}.parquet", images(4), labels)
    fails(lambda: parquet.load(tmp_path / "sets", Reading()), "test.parquet, row 0: the label 0 is a number, others")
    for shard, labels in enumerate((texts, numbers)):
        parquet_file(tmp_path / "shards" / f"train-0000{shard}-of-00002.parquet", images(4), labels)
    parquet_file(tmp_path / "shards" / "test.parquet", images(4), texts)
    fails(
        lambda: parquet.load(tmp_path / "shards", Reading()), "00001-of-00002.parquet, row 0: the label 0 is a number"
    )


def test_doubled_class_names_are_told_apart_or_refused(tmp_path):
    for part in ("train", "test"):
        parquet_file(tmp_path / "numbers" / f"{part}.parquet", images(3), [0, 1, 2], ("crane", "bee", "crane"))
        parquet_file(
            tmp_path / "texts" / f"{part}.parquet", images(3), ["crane", "bee", "bee"], ("crane", "bee", "crane")
        )
    assert parquet.load(tmp_path / "numbers", Reading()).class_names == ("crane (0)", "bee", "crane (2)")
    fails(lambda: parquet.load(tmp_path / "texts", Reading()), "two classes are called 'crane'")


def test_class_names_that_are_no_list_are_refused(tmp_path):
    dataset(tmp_path)
    features = {"label": {"names": "abc", "_type": "ClassLabel"}}
    cells = pyarrow.array([{"bytes": data} for data in images(4)])
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table(tmp_path / "train-00000-of-00001.parquet", {"image": cells, "label": [0, 1, 2, 0]}, metadata)
    fails(lambda: parquet.load(tmp_path, Reading()), "class names in its metadata are 'abc', not a list")


def test_an_empty_test_set_is_told_as_such(tmp_path):
    dataset(tmp_path)
    path = tmp_path / "test-00000-of-00001.parquet"
    parquet_file(path, [], np.array([], dtype=np.int64), NAMES)
    fails(lambda: parquet.load(tmp_path, Reading()), f"{path} has no rows")


def test_a_training_set_alone_and_a_set_called_dev(tmp_path):
    parquet_file(tmp_path / "data" / "train-00000-of-00001.parquet", images(4), [0, 1] * 2)
    assert parquet.load(tmp_path, Reading()).test is None
    parquet_file(tmp_path / "data" / "dev-00000-of-00001.parquet", images(2, start=70), [0, 1])
    assert np.array_equal(parquet.load(tmp_path, Reading()).test.read([0])[0], noise(70).transpose(2, 0, 1))


def test_an_empty_or_damaged_file_is_named(tmp_path):
    dataset(tmp_path)
    path = tmp_path / "train-00000-of-00001.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    fails(lambda: parquet.load(tmp_path, Reading()), str(path), "damaged or not a parquet file")
    parquet_file(path, [], np.array([], dtype=np.int64), NAMES)
    fails(lambda: parquet.load(tmp_path, Reading()), "has no rows")


def test_missing_sets_are_named(tmp_path):
    dataset(tmp_path)
    (tmp_path / "test-00000-of-00001.parquet").unlink()
    (tmp_path / "train-00000-of-00001.parquet").rename(tmp_path / "test-00000-of-00001.parquet")
    fails(lambda: parquet.load(tmp_path, Reading()), "no training set")


def test_several_sets_in_one_folder_are_not_guessed_between(tmp_path):
    dataset(tmp_path / "a")
    dataset(tmp_path / "b")
    fails(lambda: parquet.load(tmp_path, Reading()), "several parquet sets")
    assert parquet_files.present(tmp_path)


def test_images_of_different_sizes_need_a_size(tmp_path):
    dataset(tmp_path)
    data = images(2) + images(2, height=10, width=12)
    parquet_file(tmp_path / "train-00000-of-00001.parquet", data, [0, 1] * 2, NAMES)
    assert isinstance(fails(lambda: parquet.load(tmp_path, Reading()), "choose one with --size"), UsageError)
    assert parquet.load(tmp_path, Reading(6)).train.read([0, 3]).shape == (2, 3, 6, 6)


def test_a_class_without_test_images_is_told_of_ones_own_set_and_refused_of_a_known_one(tmp_path):
    dataset(tmp_path)
    parquet_file(tmp_path / "test-00000-of-00001.parquet", images(2), [0, 0], NAMES)
    raw = sources.load("folder", tmp_path, Reading(), tmp_path)
    assert raw.test.counts(2) == (2, 0) and "untested: 'bee'" in raw.remarks[0]
    fails(lambda: sources.load("cifar10", tmp_path, Reading(), tmp_path), "class 'bee' has no test images")


@pytest.mark.parametrize("layout", ["data.parquet", "data/0000.parquet", "partial-train/0000.parquet"])
def test_files_that_tell_no_split_are_a_training_set(tmp_path, layout):
    parquet_file(tmp_path / layout, images(4), [0, 1, 0, 1], NAMES)
    raw = parquet.load(tmp_path, Reading())
    assert raw.test is None and raw.train.labels.tolist() == [0, 1, 0, 1]
    image_folder(tmp_path, {"train": {"a": [noise(0)], "b": [noise(1)]}})
    if "train" not in layout:  # beside pictures they are no images
        assert sources.load("folder", tmp_path, Reading(), tmp_path).origin == "image folder"


def test_a_label_may_be_a_list_of_one(tmp_path):
    parquet_file(tmp_path / "train.parquet", images(3), [[1], [0], [1]], NAMES)
    assert parquet.load(tmp_path, Reading()).train.labels.tolist() == [1, 0, 1]
    parquet_file(tmp_path / "train.parquet", images(3), [[1], [0], [1, 0]], NAMES)
    fails(lambda: parquet.load(tmp_path, Reading()), "row 2: the label is [1, 0]")
