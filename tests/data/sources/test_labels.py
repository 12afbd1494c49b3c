"""Labels of a table become class numbers; what cannot be meant is named with its row."""

from __future__ import annotations

import math

import pytest

from csdm_cli.data.sources.labels import clean, found_in, in_order, named, refuse_mixed
from csdm_cli.errors import CsdmError


def row(number: int) -> str:
    return f"row {number}"


def test_values_of_tables_are_numbers_or_names():
    assert [clean(value, "here") for value in (3, 3.0, "cat", True, [2])] == [3, 3, "cat", 1, 2]
    for value in (2.5, math.nan, math.inf, None, b"cat", [1, 2], [], [[]]):
        with pytest.raises(CsdmError, match="here: the label is"):
            clean(value, "here")


def test_texts_are_sorted_as_numbers_if_all_are():
    assert found_in(["b", "a", "b"], row).names == ("a", "b")
    assert found_in(["10", "9"], row).names == ("9", "10")
    assert sorted(["10", "9", "x"], key=in_order(["10", "9", "x"])) == ["10", "9", "x"]


def test_numbers_count_from_zero_or_one_without_a_gap():
    for labels in ([2, 0, 1], [3, 1, 2]):
        assert found_in(labels, row).numbers(labels, row).tolist() == [2, 0, 1]
    for labels, wrong in (([0, 2, 2], "row 1"), ([1, 3], "row 1"), ([-1, 0], "row 0"), ([5], "row 0")):
        with pytest.raises(CsdmError, match=wrong):
            found_in(labels, row)


def test_known_names_are_told_apart_by_their_numbers():
    classes = named(["crane", "cat", "crane"], texts=False)
    assert classes.names == ("crane (0)", "cat", "crane (2)")
    assert classes.numbers([2, 0], row).tolist() == [2, 0]
    with pytest.raises(CsdmError, match="crane"):
        named(["crane", "cat", "crane"], texts=True)


def test_a_label_of_no_class_and_mixed_labels_are_named():
    with pytest.raises(CsdmError, match="row 1: the label 'dog' is none of the 1 classes: correct it, or leave"):
        named(["cat"], texts=True).numbers(["cat", "dog"], row)
    with pytest.raises(CsdmError, match="row 2: the label 3 is a number, others are a text"):
        refuse_mixed(["a", "b", 3], row)
    with pytest.raises(CsdmError, match="row 0"):
        refuse_mixed(["a"], row, like=0)
