"""The iteration that profile measures is the one that distill runs."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.distillation.layout import Chunking
from csdm_cli.profiling.costs import PHASES, Clock, Cost, measure, phased_iteration
from tests.methods.tiny_world import COUNTS, assembled

CPU = torch.device("cpu")


@pytest.mark.parametrize("layout", [Chunking(3, 2), Chunking(2, 2)], ids=str)
@pytest.mark.parametrize("method", ["csdm", "idm"])
def test_phases_cut_apart_move_the_pixels_alike(tmp_path, method, layout):
    """In float64, so that only the order of sums may differ."""
    whole, apart = (assembled(tmp_path, method) for _ in range(2))
    start, clock = apart.leaves.images.detach().clone(), Clock(CPU)
    apart.matching.layout = layout
    for step in range(3):
        whole.iterate(step)
        phased_iteration(apart.leaves, apart.matching, apart.real, step, clock)
    torch.testing.assert_close(apart.leaves.images, whole.leaves.images, atol=1e-9, rtol=0)
    assert (apart.leaves.images - start).abs().max() > 1e-3, "they moved"
    assert set(clock.seconds) == set(PHASES)


def test_measuring_runs_warm_up_timed_and_phased_iterations(tmp_path):
    """The pixels end where as many iterations of distill take them."""
    measured, plain = (assembled(tmp_path, "csdm", iterations=7) for _ in range(2))
    steps: list[int] = []

    def iterate(step: int):
        steps.append(step)
        return measured.iterate(step)

    cost = measure(iterate, measured.leaves, measured.matching, measured.real, iterations=3, warmup=1)
    assert steps == [0, 0, 1, 2]
    for step in (*steps, 0, 1, 2):
        plain.iterate(step)
    torch.testing.assert_close(measured.leaves.images, plain.leaves.images, atol=1e-9, rtol=0)
    assert len(cost.seconds) == 3 and cost.images == 2 * len(COUNTS) * 2**2
    assert cost.median == sorted(cost.seconds)[1] and tuple(cost.phases) == PHASES


def test_spread_is_the_first_and_last_decile():
    cost = Cost(tuple(float(i) for i in range(1, 22)), {}, 1, None)
    assert cost.median == 11 and cost.spread == (3, 19)
