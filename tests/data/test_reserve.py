from __future__ import annotations

import pytest
import torch

from csdm_cli.data.reserve import reserve
from csdm_cli.errors import UsageError
from tests.data.pictures import black_images


def tracks(*sizes):
    """A class's file names, of tracks of these sizes."""
    return [f"{track}_{index}.png" for track, size in enumerate(sizes) for index in range(size)]


TRACK = r"(.+)_\d+\.png"


def test_images_that_stand_alone_are_drawn_each_for_itself():
    apart = reserve(black_images((20, 5)), 3, None, 0)
    assert [len(own) for own in apart.reserved] == [3, 3] and [len(own) for own in apart.remaining] == [17, 2]
    for label, own in enumerate(((0, 20), (20, 25))):
        assert sorted(torch.cat([apart.reserved[label], apart.remaining[label]]).tolist()) == list(range(*own))
    assert apart.unused == 0


def test_without_a_development_set_all_images_remain():
    apart = reserve(black_images((4, 2)), 0, "no name is read", 0)
    assert apart.reserved == () and [own.tolist() for own in apart.remaining] == [[0, 1, 2, 3], [4, 5]]


@pytest.mark.parametrize("seed", range(5))
def test_no_track_is_on_both_sides(seed):
    names = ["a" + name for name in tracks(*[3] * 10)] + ["b" + name for name in tracks(3, 3, 3)]
    apart = reserve(black_images((30, 9), names), 4, TRACK, seed)
    for label in range(2):
        here, there = (
            {names[position].split("_")[0] for position in own.tolist()}
            for own in (apart.reserved[label], apart.remaining[label])
        )
        assert len(here) == 2 and not here & there
    assert [len(own) for own in apart.reserved] == [4, 4] and [len(own) for own in apart.remaining] == [24, 3]
    assert apart.unused == 4


def test_a_track_that_spans_classes_serves_the_smaller_one_and_leaves_both():
    names = ["x_0.png", *tracks(*[1] * 9), "x_1.png", "y_0.png"]
    apart = [reserve(black_images((10, 2), names), 1, TRACK, seed) for seed in range(20)]
    with_x = [own for own in apart if own.reserved[1].tolist() == [10]]
    assert 0 < len(with_x) < 20
    assert all(own.reserved[0].tolist() == [0] and 0 not in own.remaining[0].tolist() for own in with_x)


def test_the_seed_decides_which():
    drawn = [reserve(black_images((50, 50)), 5, None, seed).reserved[0].tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("names", "each", "pattern", "says"),
    [
        ((), 5, None, "class b has 5 training images: --dev 5"),
        (tracks(*[1] * 10) + ["z_0.png"] * 5, 2, TRACK, "class b cannot give 2 development images in whole groups"),
    ],
)
def test_what_cannot_be_kept_apart_is_refused(names, each, pattern, says):
    with pytest.raises(UsageError, match=says):
        reserve(black_images((10, 5), names), each, pattern, 0)
