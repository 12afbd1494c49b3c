from __future__ import annotations

import numpy as np
import pytest

from csdm_cli.data import sources
from csdm_cli.data.sources.imagenet import SUBSETS
from csdm_cli.data.sources.reading import Reading
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.names import Source
from tests.data.pictures import coded, image_folder, noise, parquet_file

# The class numbers as the field prints them.
PUBLISHED = {
    "imagenette": [0, 217, 482, 491, 497, 566, 569, 571, 574, 701],
    "imagewoof": [193, 182, 258, 162, 155, 167, 159, 273, 207, 229],
    "imagemeow": [281, 282, 283, 284, 285, 291, 292, 290, 289, 287],
    "imagesquawk": [84, 130, 88, 144, 145, 22, 96, 9, 100, 89],
    "imagefruit": [953, 954, 949, 950, 951, 957, 952, 945, 943, 948],
    "imageyellow": [309, 986, 954, 951, 987, 779, 599, 291, 72, 11],
}


def picture(label):
    return noise(label)


def subset_folder(root, subset, extra=("n00000001",)):
    wnids = [member.wnid for member in SUBSETS[subset]]
    sets = {wnid: [picture(label)] for label, wnid in enumerate(wnids)} | {wnid: [noise(99)] for wnid in extra}
    return image_folder(root, {"train": sets, "val": sets})


def both_sets(root, labels, names):
    for split in ("train", "validation"):
        parquet_file(root / f"{split}.parquet", [coded(noise(label)) for label in labels], labels, names)
    return root


@pytest.mark.parametrize("subset", PUBLISHED)
def test_the_classes_are_the_published_ones(subset):
    assert [member.index for member in SUBSETS[subset]] == PUBLISHED[subset]


def test_numbers_names_and_wordnet_ids_belong_together():
    """torchvision lists the names by number; ImageNet's numbers follow the order of the WordNet ids."""
    categories = pytest.importorskip("torchvision.models._meta")._IMAGENET_CATEGORIES
    members = {member.index: member for subset in SUBSETS.values() for member in subset}
    for member in members.values():
        assert categories[member.index].casefold() == member.name.casefold()
    by_number = [members[index].wnid for index in sorted(members)]
    assert by_number == sorted(set(by_number))


def test_every_subset_has_a_source_name():
    assert SUBSETS.keys() <= set(Source)


def test_a_subset_is_taken_from_an_imagenet_folder_by_wordnet_id(tmp_path):
    raw = sources.load("imagewoof", subset_folder(tmp_path, "imagewoof"), Reading(8), tmp_path)
    assert raw.class_names == tuple(member.name for member in SUBSETS["imagewoof"])
    assert raw.train.labels.tolist() == list(range(10))
    assert np.array_equal(raw.train.read([3])[0], picture(3).transpose(2, 0, 1))


def test_a_subset_is_taken_from_all_of_imagenet_in_parquet(tmp_path):
    names = [f"class {label}" for label in range(1000)]
    both_sets(tmp_path, [5, *PUBLISHED["imagemeow"], 999], names)
    raw = sources.load("imagemeow", tmp_path, Reading(8), tmp_path)
    assert raw.class_names[5] == "lion"
    assert raw.train.counts(10) == (1,) * 10
    (lion,) = raw.train.positions(5).tolist()
    assert np.array_equal(raw.train.read([lion])[0], noise(291).transpose(2, 0, 1))


@pytest.mark.parametrize("by", ["wnid", "name", "synonyms"])
def test_a_subset_in_parquet_is_brought_into_the_published_order(tmp_path, by):
    members = sorted(SUBSETS["imagesquawk"], key=lambda member: member.wnid)
    named = {"wnid": "{0.wnid}", "name": "{0.name}", "synonyms": "Some Bird, {0.name}, Avis avis"}[by]
    both_sets(tmp_path, list(range(10)), [named.format(member) for member in members])
    raw = sources.load("imagesquawk", tmp_path, Reading(8), tmp_path)
    assert raw.class_names == tuple(member.name for member in SUBSETS["imagesquawk"])
    first = members.index(SUBSETS["imagesquawk"][0])
    assert raw.train.positions(0).tolist() == [first]


def test_ten_classes_by_unknown_names_are_kept(tmp_path):
    both_sets(tmp_path, list(range(10)), [f"klasse {label}" for label in range(10)])
    assert sources.load("imagenette", tmp_path, Reading(8), tmp_path).class_names[0] == "klasse 0"


@pytest.mark.parametrize("names", [["tench", *"bcdefghij"], list("abc")])
def test_other_classes_are_refused_with_the_first_that_is_missing(tmp_path, names):
    both_sets(tmp_path, list(range(len(names))), names)
    with pytest.raises(CsdmError, match=r"none of its \d+ classes is n0\d+ \(.*\) of imagenette") as error:
        sources.load("imagenette", tmp_path, Reading(8), tmp_path)
    assert "\n" not in str(error.value)


def test_a_missing_wordnet_folder_is_named(tmp_path):
    with pytest.raises(CsdmError, match="train has no folder n01440764"):
        sources.load("imagenette", subset_folder(tmp_path, "imagewoof"), Reading(8), tmp_path)


def test_subsets_are_not_downloaded(tmp_path):
    with pytest.raises(UsageError, match=r"--data-dir DIR \(an ImageNet-style folder"):
        sources.load("imagefruit", None, Reading(), tmp_path)


def test_imagenette_itself(real_data, tmp_path):
    raw = sources.load("imagenette", real_data / "imagenette", Reading(), tmp_path)
    assert raw.class_names == tuple(member.name for member in SUBSETS["imagenette"])
    assert (raw.size, raw.channels, raw.jpeg) == (128, 3, True)
    assert sum(raw.train.counts(10)) == 9469 and sum(raw.test.counts(10)) == 3925
    assert raw.test.read([0, 3924]).float().std() > 10
