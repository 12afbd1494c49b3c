"""A student's step as it is measured is the step that evaluate trains."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.networks import build
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.profiling.student_costs import TRAINING_PHASES, measure_students
from csdm_cli.training.batches import Examples
from csdm_cli.training.loop import train
from csdm_cli.training.recipe import Recipe

RECIPE = Recipe("adamw", 1e-3, 0.0, 0.01, 8, "crop_scale", "single", 0.5, "cosine")
SPEC = NetworkSpec("convnet", 4, 2, "instance", "avg", 1, 8, 3)


@pytest.fixture
def examples() -> Examples:
    images = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return Examples(images, torch.arange(20) % 3, (0.5,), (0.25,))


@pytest.mark.parametrize("students", [1, 2])
def test_every_step_is_timed_and_all_its_time_has_a_phase(examples, students):
    networks = [build(SPEC, seed) for seed in range(students)]
    cost = measure_students(networks, examples, RECIPE, range(students), iterations=5, warmup=2)
    assert len(cost.seconds) == 5 and min(cost.seconds) > 0
    assert tuple(cost.phases) == TRAINING_PHASES and min(cost.phases.values()) > 0
    assert cost.images == 8 * students


def test_watching_changes_nothing_and_ends(examples):
    """Trained twice seven steps by the measurement: as by two plain runs."""
    measured, plain = build(SPEC, 0), build(SPEC, 0)
    measure_students([measured], examples, RECIPE, [3], iterations=5, warmup=2)
    for _ in range(2):
        train(plain, examples, RECIPE, 7, 3)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, measured.state_dict()[name])
    from torch.nn.modules import module

    assert not module._global_forward_hooks and not module._global_forward_pre_hooks
