"""herding picks real images by the features of the teachers it was told to look through."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.errors import UsageError
from csdm_cli.methods.selection.base import SelectingByLooks
from csdm_cli.methods.selection.herding import Herding
from tests.methods.selection.worlds import building, features_of, positions
from tests.reference.selection import herding_scores


def herd(start, **options):
    return Herding(SelectingByLooks(**options)).build(start)


@pytest.mark.parametrize("observers", [0, 1])
def test_every_pick_is_the_best_left_under_the_teachers(observers):
    start = building(ipc=3)
    built = herd(start, observers=observers)
    assert built.factor == 1 and built.images.shape == (9, 3, 8, 8)
    for label in range(3):
        features = features_of(start, label)
        features = features if observers == 0 else features[:, : features.shape[1] // 2]
        picks = positions(start, built.images[3 * label : 3 * label + 3], label)
        for turn, pick in enumerate(picks):
            scores = herding_scores(features.double(), picks[:turn])
            assert scores[pick] <= min(scores.values()) + 1e-5


def test_the_second_teacher_has_a_say():
    assert not torch.equal(herd(building(ipc=3)).images, herd(building(ipc=3), observers=1).images)


def test_a_class_shorter_than_asked_is_filled_up():
    start = building(ipc=5)
    built = herd(start)
    assert built.images.shape == (15, 3, 8, 8)
    assert sorted(positions(start, built.images[10:13], 2)) == [0, 1, 2]
    assert len({bytes(image.mul(255).byte().flatten().tolist()) for image in built.images[10:]}) == 5


def test_tiles_hold_factor_squared_picks():
    tiled = herd(building(ipc=2, factor=2), tiled=True)
    assert tiled.factor == 2 and tiled.images.shape == (6, 3, 8, 8)
    assert herd(building(ipc=2, factor=2)).factor == 1


def test_more_observers_than_teachers_are_refused():
    with pytest.raises(UsageError, match="the pool has 2"):
        herd(building(), observers=3)
