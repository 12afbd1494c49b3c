"""The iteration that profile measures of a learning method is the one that distill runs."""

from __future__ import annotations

import torch

from csdm_cli.profiling.costs import Clock
from csdm_cli.profiling.learning_costs import LEARNING_PHASES, measure_learning, phased_learning_iteration
from csdm_cli.runs.assemble_learning import LearningAssembly, assemble_learning
from csdm_cli.runs.choose import decided
from csdm_cli.settings import sections
from tests.methods.tiny_world import COUNTS, SETTINGS, make_data, make_pool

CPU = torch.device("cpu")


def assembled(method: str) -> LearningAssembly:
    own = {"augment": "crop", "option": {"outer": 3, "inner": 2}}
    settled, chosen = decided(sections.Distill.model_validate({"method": method} | SETTINGS | own))
    return assemble_learning(settled, chosen, make_data(), make_pool().spec, dtype=torch.float64)


def test_phases_cut_apart_move_the_images_alike() -> None:
    for method in ("dsa", "idc"):
        whole, apart, clock = assembled(method), assembled(method), Clock(CPU)
        start = apart.leaves.images.detach().clone()
        for step in range(4):
            whole.iterate(step)
            phased_learning_iteration(apart.leaves, apart.parameterisation, apart.method, step, clock)
        assert torch.equal(apart.leaves.images, whole.leaves.images)
        assert (apart.leaves.images - start).abs().max() > 1e-3, "they moved"
        assert set(clock.seconds) == set(LEARNING_PHASES)


def test_measuring_runs_warm_up_timed_and_phased_iterations() -> None:
    measured, plain, steps = assembled("dsa"), assembled("dsa"), []

    def iterate(step: int) -> None:
        steps.append(step)
        measured.iterate(step)

    parts = (measured.leaves, measured.parameterisation, measured.method)
    cost = measure_learning(iterate, *parts, iterations=3, warmup=1)
    assert steps == [0, 0, 1, 2]
    for step in (*steps, 0, 1, 2):
        plain.iterate(step)
    assert torch.equal(measured.leaves.images, plain.leaves.images)
    assert len(cost.seconds) == 3 and cost.images == 2 * len(COUNTS) * 2**2 and tuple(cost.phases) == LEARNING_PHASES
