"""Batches: every image once per pass, whatever the batch; a batch is a function of seed and step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from csdm_cli.training.batches import Batches, Examples
from csdm_cli.training.recipe import Recipe

RECIPE = Recipe("sgd", 0.1, 0.9, 0.0, 4, "none", "single", 0.0, "cosine")
IMAGES = torch.arange(10, dtype=torch.float32).div(10).view(10, 1, 1, 1).expand(10, 1, 4, 4)
EXAMPLES = Examples(IMAGES, torch.arange(10) % 3, (0.0,), (1.0,))


@pytest.mark.parametrize("batch", [1, 4, 5, 7])
def test_every_pass_shows_every_image_once(batch):
    batches = Batches(EXAMPLES, replace(RECIPE, batch=batch), 0, 3)
    shown = torch.cat([batches.drawn(step).index for step in range(10)])
    for number in range(len(shown) // 10):
        assert sorted(shown[10 * number : 10 * (number + 1)].tolist()) == list(range(10)), number
    assert batch == 1 or not torch.equal(shown[:10], shown[10:20])


def test_a_batch_is_never_larger_than_the_set():
    assert len(Batches(EXAMPLES, replace(RECIPE, batch=99), 0, 3).drawn(0).index) == 10


def test_a_step_follows_from_the_seed_alone():
    recipe = replace(RECIPE, augment="crop_flip", cutmix=1.0)
    one, again, other = (Batches(EXAMPLES, recipe, seed, 3) for seed in (1, 1, 2))
    one.at(0)  # the order of calls does not matter
    for found, expected in zip(again.at(3), one.at(3), strict=True):
        assert torch.equal(found, expected)
    assert not torch.equal(other.drawn(3).index, one.drawn(3).index)


def test_classes_become_probabilities_and_soft_labels_stay():
    images, targets = EXAMPLES.batch(torch.tensor([1, 5]), 3)
    assert targets.tolist() == [[0, 1, 0], [0, 0, 1]] and torch.equal(images, IMAGES[[1, 5]])
    soft = Examples(IMAGES, torch.full((10, 3), 1 / 3), (0.5,), (0.25,))
    images, targets = soft.batch(torch.tensor([5]), 3)
    assert torch.equal(targets, soft.targets[5:6]) and images.unique().item() == 0
