"""Learning rates and stages by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from csdm_cli.training.recipe import STAGES, Duration, Recipe

RECIPE = Recipe("sgd", 0.1, 0.9, 5e-4, 32, "crop", "single", 0.0, "cosine")


def test_cosine_falls_from_the_rate_to_nothing():
    assert RECIPE.lr_at(0, 8) == 0.1 and RECIPE.lr_at(4, 8) == pytest.approx(0.05)
    assert RECIPE.lr_at(2, 8) == pytest.approx(0.05 * (1 + math.sqrt(0.5)))
    assert RECIPE.lr_at(8, 8) == 0


def test_steps_fall_to_a_fifth_at_two_thirds_and_five_sixths():
    recipe = replace(RECIPE, schedule="steps")
    rates = [recipe.lr_at(step, 12) for step in range(12)]
    assert rates == pytest.approx([0.1] * 8 + [0.02] * 2 + [0.004] * 2)


def test_a_recipe_survives_json():
    assert Recipe(**json.loads(json.dumps(RECIPE.as_dict()))) == RECIPE


def test_epochs_end_when_as_many_images_were_seen():
    assert Duration(epochs=3).ends(10, 4) == {3: 1, 5: 2, 8: 3}  # 10, 20 and 30 images in batches of 4
    assert Duration(epochs=2).ends(10, 99) == {1: 1, 2: 2}, "a batch holds no more images than there are"


def test_steps_have_a_stage_for_each_pass_over_the_images():
    assert Duration(steps=5).ends(10, 4) == {3: 1, 5: 2}
    assert Duration(steps=1).ends(10, 4) == {1: 1}
    many = Duration(steps=6000).ends(4, 4)
    assert len(many) == STAGES and many[100] == 1 and many[6000] == STAGES


def test_steps_can_have_a_stage_each_time_so_many_are_done():
    assert Duration(steps=6, every=2).ends(10, 4) == {2: 1, 4: 2, 6: 3}
    assert Duration(steps=6, every=6).ends(10, 4) == {6: 1}


def test_a_duration_is_told_and_read():
    told = {
        Duration(epochs=3): "3 epochs",
        Duration(steps=16_000): "16,000 steps",
        Duration(steps=6, every=2): "6 steps",
    }
    for own, text in told.items():
        assert Duration.told(own.as_dict()) == own and str(own) == text
