"""Which images a batch holds, against lists written out."""

from __future__ import annotations

from collections import Counter

import torch

from csdm_cli.training.batches import Batches, Examples
from csdm_cli.training.recipe import Recipe
from csdm_cli.training.sampling import PER_TURN, ClassAware, Shuffled
from tests.reference.training import positions

LABELS = torch.tensor([0] * 9 + [1] * 6 + [2] * 3)


def sequence(sampler, steps: int) -> list[int]:
    return torch.cat([sampler(step) for step in range(steps)]).tolist()


def test_shuffles_follow_one_another():
    sampler = Shuffled(18, 7, seed=5)
    assert [sampler(step).tolist() for step in range(6)] == [positions(18, 7, step, 5) for step in range(6)]


def test_every_class_comes_as_often_as_another():
    drawn = sequence(ClassAware(LABELS, 6, seed=1), 30)  # 180 = 15 cycles of 3 classes that give 4 each
    assert Counter(LABELS[drawn].tolist()) == {0: 60, 1: 60, 2: 60}


def test_classes_take_turns():
    drawn = LABELS[sequence(ClassAware(LABELS, 6, seed=1), 30)].view(-1, PER_TURN)
    assert (drawn == drawn[:, :1]).all()
    orders = [tuple(order.tolist()) for order in drawn[:, 0].view(-1, 3)]
    assert all(sorted(order) == [0, 1, 2] for order in orders) and len(set(orders)) > 1


def test_a_class_gives_all_its_images_before_it_gives_one_again():
    drawn = sequence(ClassAware(LABELS, 6, seed=1), 30)
    for label, count in enumerate((9, 6, 3)):
        own = [place for place in drawn if LABELS[place] == label]
        rounds = [own[first : first + count] for first in range(0, len(own) - count + 1, count)]
        assert len(rounds) > 5 and all(len(set(part)) == count for part in rounds)
        assert len({tuple(part) for part in rounds}) > 1


def test_a_step_s_images_depend_on_seed_and_step_alone():
    forward, backward = ClassAware(LABELS, 5, seed=1), ClassAware(LABELS, 5, seed=1)
    there = [forward(step).tolist() for step in range(40)]
    assert [backward(step).tolist() for step in reversed(range(40))][::-1] == there
    assert sequence(ClassAware(LABELS, 5, seed=2), 40) != sequence(forward, 40)


def test_a_recipe_chooses_between_them():
    images = torch.zeros(18, 3, 8, 8)
    recipe = Recipe("sgd", 0.05, 0.0, 0.0, 6, "none", "single", 0.0, "constant", "class-aware")
    batches = Batches(Examples(images, LABELS, (0.5,) * 3, (0.2,) * 3), recipe, 1, 3)
    assert torch.equal(batches.drawn(7).index, ClassAware(LABELS, 6, seed=1)(7))
    assert Recipe(**recipe.as_dict()) == recipe
