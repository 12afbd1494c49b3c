"""When students are tested, and how long those of all real images are trained."""

from __future__ import annotations

from dataclasses import replace

import pytest

from csdm_cli.evaluation.protocol import Protocol
from csdm_cli.training.recipe import Recipe

RECIPE = Recipe("adamw", 1e-2, 0.9, 0.01, 4, "color_crop_flip", "compose", 0.5, "cosine")
PROTOCOL = Protocol(RECIPE, steps=6, students=3, seed=11, test_points=3)


@pytest.mark.parametrize(
    ("steps", "points", "expected"), [(6, 3, (2, 4, 6)), (5, 2, (2, 5)), (2, 5, (1, 2)), (7, 1, (7,)), (0, 3, (0,))]
)
def test_when_students_are_tested(steps: int, points: int, expected: tuple[int, ...]):
    assert replace(PROTOCOL, steps=steps, test_points=points).tested_after == expected


def test_all_images_are_learnt_for_longer_than_a_small_set(monkeypatch):
    monkeypatch.setattr("csdm_cli.evaluation.protocol.FULL_EPOCHS", 90)
    assert PROTOCOL.on_all(11).steps == 90 * 3 and PROTOCOL.on_all(3).steps == 90 and PROTOCOL.steps == 6
    assert replace(PROTOCOL, steps=1000).on_all(11).steps == 1000
    assert replace(PROTOCOL, full_steps=7).on_all(11) == replace(PROTOCOL, full_steps=7, steps=7)
