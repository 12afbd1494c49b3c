from __future__ import annotations

import pytest

from csdm_cli.data.groups import Groups
from csdm_cli.errors import UsageError
from tests.data.pictures import black_images


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        (None, [0, 1, 2]),
        (r"\d+_\d+", ["1_0", "1_0", "1_1"]),
        (r"(\d+)_\d+", ["1", "1", "1"]),
        (r"(x)?_\d", ["_0", "_0", "_1"]),  # a group of the expression that takes no part
    ],
)
def test_the_match_or_its_first_group_names_the_group(pattern, groups):
    assert list(Groups(black_images((2, 1), ["1_0_a", "1_0_b", "1_1_a"]), pattern).group_of) == groups


def test_a_group_is_kept_apart_once_and_never_the_last_of_a_class():
    groups = Groups(black_images((3, 2), ["x", "x", "y", "x", "z"]), ".+")
    for name in ("x", "x", "y", "z"):  # after x, the others are the last of their classes
        groups.keep_apart(name)
    assert groups.apart == {"x"} and groups.held == {0: 2, 1: 1}


def test_images_of_unused_classes_belong_nowhere():
    raw = black_images((2, 2), ["x", "y", "y", "z"])
    raw.train.labels[2:] = -1
    assert Groups(raw, ".+").sizes == {"x": {0: 1}, "y": {0: 1}}


def test_grouping_needs_names_that_fit():
    with pytest.raises(UsageError, match="have none"):
        Groups(black_images((5, 5)), "a")
    with pytest.raises(UsageError, match=r"--group-by track does not match a\.png"):
        Groups(black_images((1, 1), ["a.png", "b.png"]), "track")
