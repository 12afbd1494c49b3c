from __future__ import annotations

import pytest
import torch

from csdm_cli.data.split_off import Share, split_off
from csdm_cli.errors import UsageError
from tests.data.pictures import black_images


def sides(raw):
    """Positions of training and test images."""
    return tuple(set(torch.nonzero(split.labels >= 0).flatten().tolist()) for split in (raw.train, raw.test))


@pytest.mark.parametrize(
    ("share", "per_class", "held"), [(0.2, None, (40, 4, 1, 1)), (None, 3, (3, 3, 3, 1)), (0.9, None, (180, 18, 4, 1))]
)
def test_every_class_gives_its_share_and_keeps_an_image(share, per_class, held):
    counts = (200, 20, 5, 2)
    raw = split_off(black_images(counts), Share(share, per_class, None, 0))
    assert raw.test.counts(4) == held
    assert raw.train.counts(4) == tuple(have - out for have, out in zip(counts, held, strict=True))
    train, test = sides(raw)
    assert not train & test and len(train | test) == 227


def test_classes_that_are_left_one_image_are_told_of():
    told = split_off(black_images((200, 20, 3, 2)), Share(None, 3, None, 0)).remarks
    assert told == ("warning: 2 classes of no more than 3 images: one of each is left to train on",)
    assert split_off(black_images((200, 20, 4, 4)), Share(None, 3, None, 0)).remarks == ()


def test_the_seed_decides_which():
    drawn = [sides(split_off(black_images((50, 50)), Share(0.2, None, None, seed)))[1] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_groups_stay_together_also_across_classes():
    names = [f"patient{index % 10}/{index}.png" for index in range(60)]
    raw = split_off(black_images((40, 20), names), Share(0.2, None, r"patient(\d+)", 0))
    patients = [{names[position].split("/")[0] for position in side} for side in sides(raw)]
    assert not patients[0] & patients[1] and len(patients[0] | patients[1]) == 10
    assert raw.test.counts(2) == (8, 4)  # two patients of ten, each with 4 and 2 images


def test_a_large_group_goes_whole_where_it_must():
    names = ["x"] * 3 + ["y"] * 7 + [str(index) for index in range(10)]
    raw = split_off(black_images((10, 10), names), Share(0.1, None, ".+", 0))
    assert raw.test.counts(2) == (3, 1)


@pytest.mark.parametrize(
    ("counts", "names", "pattern"), [((1, 6), (), None), ((5, 5), ["one"] * 5 + list("abcde"), ".+")]
)
def test_a_class_that_cannot_give_stays_whole_and_is_told(counts, names, pattern):
    raw = split_off(black_images(counts, names), Share(0.5, None, pattern, 0))
    assert raw.train.counts(2)[0] == counts[0] and raw.test.counts(2) == (0, counts[1] // 2)
    assert raw.remarks == ("1 of 2 classes has no test images, so it is trained on but untested: 'a'",)


def test_a_test_set_of_nothing_is_refused():
    with pytest.raises(UsageError, match="no image can be held out"):
        split_off(black_images((1, 1)), Share(0.5, None, None, 0))


@pytest.mark.parametrize("share", [Share(0.2, None, None, 0), Share(None, 4, None, 0)])
def test_images_of_unused_classes_are_on_neither_side(share):
    raw = black_images((15, 15))
    raw.train.labels[10:20] = -1
    split = split_off(raw, share)
    assert len(set.union(*sides(split))) == 20
