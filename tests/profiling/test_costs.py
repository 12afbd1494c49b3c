"""What profile measures is the iteration that distill runs."""

from __future__ import annotations

import torch

from csdm_cli.device import peak_memory, resident_bytes
from csdm_cli.distillation.layout import Chunking
from csdm_cli.distillation.step import Matching
from csdm_cli.profiling.costs import PHASES, Clock, Cost, measure, phased_iteration
from tests.distillation.test_loop import CPU, new_run

WHOLE = Chunking(3, 2)


def matching_of(iterate, layout=WHOLE) -> Matching:
    own = iterate.args[1]
    return Matching(own.method, own.formation, own.networks, own.calibration, layout, own.extra)


def test_phases_cut_apart_move_the_pixels_alike(data, pool, tmp_path):
    for layout in (Chunking(3, 2), Chunking(2, 2)):
        pixels, _, iterate = new_run(data, pool, tmp_path)
        other, _, _ = new_run(data, pool, tmp_path)
        real = iterate.args[2]
        clock = Clock(CPU)
        for step in range(3):
            iterate(step)
            phased_iteration(other, matching_of(iterate, layout), real, step, clock)
        torch.testing.assert_close(other.images, pixels.images, atol=1e-4, rtol=0)
        assert set(clock.seconds) == set(PHASES) and min(clock.seconds.values()) > 0


def test_measure_reports_every_iteration(data, pool, tmp_path):
    pixels, _, iterate = new_run(data, pool, tmp_path)
    cost = measure(iterate, pixels, matching_of(iterate), iterate.args[2], iterations=5, warmup=1)
    assert len(cost.seconds) == 5 and cost.images == 24
    assert cost.spread[0] <= cost.median <= cost.spread[1]
    assert set(cost.phases) == set(PHASES)


def test_spread_is_the_first_and_last_decile():
    cost = Cost(tuple(float(i) for i in range(1, 22)), {}, 1, None)
    assert cost.median == 11 and cost.spread == (3, 19)


def test_peak_memory_sees_what_the_block_allocates():
    if resident_bytes() is None:
        return  # the system does not tell
    with peak_memory(CPU) as small:
        pass
    beyond = small.bytes - resident_bytes()  # where the system does not let the mark be reset
    with peak_memory(CPU) as large:
        torch.ones((beyond + 2**26) // 4)
    assert large.bytes - small.bytes > 0.8 * 2**26
