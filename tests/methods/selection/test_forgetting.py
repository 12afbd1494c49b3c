"""forgetting stores what its own network forgot most often."""

from __future__ import annotations

from itertools import pairwise

import torch

from csdm_cli.methods.selection.forgetting import Forgetting, ForgettingParameters
from csdm_cli.methods.selection.rules.history import learning_history
from csdm_cli.names import TeacherLoss
from csdm_cli.seeds import derive_seed
from csdm_cli.teachers.teaching import TeachingPlan
from csdm_cli.training.recipe import Duration
from tests.methods.selection.worlds import RECIPE, building, positions


def confusing(**options):
    """A set in which two images of the second class are, but for a pixel, five images of the first."""
    start = building(**options)
    for n in (*range(5), 9, 10):
        start.data.images[n] = start.data.images[0]
        start.data.images[n, 0, 0, 0] = n
    return start


def forget(start, **options):
    return Forgetting(ForgettingParameters(**{"epochs": 6} | options)).build(start)


def events_of(start, never):
    """Per image, from the history of the same network."""
    lesson = TeachingPlan(start.data, start.pool.spec, Duration(epochs=6), TeacherLoss.cross_entropy, RECIPE, False)
    right = learning_history(lesson, derive_seed(start.seed, "forgetting")).tolist()
    events = []
    for x in range(len(right[0])):
        visits = [visit[x] for visit in right]
        events.append(sum(a and not b for a, b in pairwise(visits)) if any(visits) else never)
    return events


def test_no_image_left_has_more_events_than_a_picked_one():
    for never, number in (("infinity", float("inf")), ("zero", 0)):
        start = confusing(ipc=3)
        events = events_of(start, number)
        assert len(set(events)) > 1
        built = forget(start, never_learned=never)
        for label in range(3):
            own = events[start.data.offsets[label] : start.data.offsets[label + 1]]
            picks = positions(start, built.images[3 * label : 3 * label + 3], label)
            assert len(set(picks)) == 3 and [own[pick] for pick in picks] == sorted(own, reverse=True)[:3]


def test_the_seed_decides_and_every_option_has_a_say():
    plain = forget(confusing(ipc=3)).images
    assert torch.equal(plain, forget(confusing(ipc=3)).images)
    assert not torch.equal(plain, forget(confusing(ipc=3, seed=1)).images)
    for option in ({"epochs": 2}, {"loss": TeacherLoss.balanced_softmax}, {"never_learned": "zero"}):
        pairs = [(forget(start), forget(start, **option)) for start in (confusing(ipc=3, seed=n) for n in range(3))]
        assert not all(torch.equal(one.images, other.images) for one, other in pairs), option
    assert forget(building(ipc=2, factor=2), tiled=True).factor == 2
