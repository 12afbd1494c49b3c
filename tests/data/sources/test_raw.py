"""A source before images are chosen from it."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.data.sources.raw import DROPPED, RawDataset, RawSplit, check, keep_classes, untested_classes
from csdm_cli.errors import CsdmError


def split(*labels: int) -> RawSplit:
    return RawSplit(torch.tensor(labels), lambda positions: torch.zeros(len(positions), 1, 2, 2, dtype=torch.uint8))


def raw(train: RawSplit, test: RawSplit | None) -> RawDataset:
    return RawDataset(train, test, ("a", "b", "c"), 1, 2, None, "folder", "print")


def test_counts_and_positions_leave_out_what_was_dropped():
    own = split(2, 0, DROPPED, 2)
    assert own.counts(3) == (1, 0, 2) and own.positions(2).tolist() == [0, 3]


def test_kept_classes_are_counted_anew_in_the_order_given():
    found = keep_classes(raw(split(0, 1, 2, 2), split(1, 2)), [2, 0], ["c", "a"])
    assert found.class_names == ("c", "a") and found.classes == 2
    assert found.train.labels.tolist() == [1, DROPPED, 0, 0] and found.test.labels.tolist() == [DROPPED, 0]
    again = keep_classes(found, [1], ["a"])
    assert again.train.labels.tolist() == [0, DROPPED, DROPPED, DROPPED]


def test_a_class_without_images_is_refused_or_remarked_on():
    with pytest.raises(CsdmError, match="toy: class 'b' has no training images"):
        check(raw(split(0, 2), split(0, 1, 2)), "toy")
    lacking = raw(split(0, 1, 2), split(0, 2))
    with pytest.raises(CsdmError, match="toy: class 'b' has no test images"):
        check(lacking, "toy")
    (remark,) = check(lacking, "toy", untested=True).remarks
    assert remark.startswith("1 of 3 classes has no test images") and "'b'" in remark
    assert untested_classes(raw(split(0), None)) == ()
