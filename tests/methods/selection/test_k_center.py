"""k-center starts at an image that the seed draws and goes on to the farthest."""

from __future__ import annotations

import torch

from csdm_cli.methods.selection.base import SelectingByLooks
from csdm_cli.methods.selection.k_center import KCenter
from tests.methods.selection.worlds import building, features_of, positions
from tests.reference.selection import k_center_scores, radius, smallest_radius


def centres(start, **options):
    return KCenter(SelectingByLooks(**options)).build(start)


def test_every_pick_is_the_farthest_and_the_class_is_covered():
    start = building(ipc=3)
    built = centres(start)
    for label in range(3):
        features = features_of(start, label).double()
        picks = positions(start, built.images[3 * label : 3 * label + 3], label)
        for turn in range(1, 3):
            scores = k_center_scores(features, picks[:turn])
            assert scores[picks[turn]] >= max(scores.values()) - 1e-5
        assert radius(features, tuple(picks)) <= 2 * smallest_radius(features, 3) + 1e-5


def test_the_seed_draws_the_first_image():
    firsts = set()
    for seed in range(12):
        start = building(ipc=2, seed=seed)
        built = centres(start)
        assert torch.equal(built.images, centres(start).images)
        firsts.add(positions(start, built.images[:1], 0)[0])
    assert len(firsts) > 4


def test_duplicates_are_not_one_image_picked_twice():
    start = building(ipc=6)
    start.data.images[9:15] = start.data.images[9].clone()
    start.data.images[14] = 255 - start.data.images[14]
    built = centres(start).images[6:12]
    odd = start.data.images[14].float() / 255
    assert sum(torch.equal(image, odd) for image in built) == 1
