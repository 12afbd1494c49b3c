"""The roof is the lesser of two rates, and an iteration's parts are shares of its time."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.profiling import costs, roofline
from csdm_cli.profiling.costs import BACKWARD, FORWARD
from csdm_cli.profiling.roofline import AT_THE_ROOF, BELOW_THE_ROOF, Roof, RooflinePoint, measure_roof
from csdm_cli.profiling.work import Work

CPU = torch.device("cpu")
PHASES = {"augmentation": 1.0, FORWARD: 2.0, BACKWARD: 4.0, "spectral": 1.0}


def test_work_of_low_intensity_is_bound_by_memory_and_other_work_by_arithmetic():
    roof = Roof(100.0, 10.0)
    assert roof.attainable(Work(50, 10)) == 50 and roof.seconds(Work(50, 10)) == 1
    assert roof.attainable(Work(1000, 10)) == 100 and roof.seconds(Work(1000, 10)) == 10


@pytest.mark.parametrize("flops", [1, 300, 700, 2000])
def test_parts_are_shares_that_sum_to_one(flops):
    standing = RooflinePoint(Work(flops, 1), attainable=100.0, seconds=8.0, phases=PHASES)
    parts = standing.parts()
    assert list(parts)[:2] == [AT_THE_ROOF, BELOW_THE_ROOF]
    assert sum(parts.values()) == pytest.approx(1) and min(parts.values()) >= 0
    assert parts["augmentation"] == parts["spectral"] == 1 / 8
    assert parts[AT_THE_ROOF] == pytest.approx(min(flops / 800, 6 / 8))


def test_shares_of_the_attainable_rate():
    standing = RooflinePoint(Work(300, 1), attainable=100.0, seconds=10.0, phases=PHASES)
    assert standing.share == pytest.approx(0.3) and standing.network_share == pytest.approx(0.5)
    assert standing.as_dict()["share"] == standing.share


def test_the_measured_roof_is_of_what_was_run(monkeypatch):
    """Small sizes: the numbers are real, but no peaks."""
    monkeypatch.setattr(roofline, "SIDES", {"cpu": (32, 64)})
    monkeypatch.setattr(roofline, "IMAGES", {"cpu": 1})
    monkeypatch.setattr(roofline, "ARRAY_BYTES", {"cpu": 2**16})
    monkeypatch.setattr(roofline, "PATIENCE", 0)
    ticks = iter(range(10**6))
    monkeypatch.setattr(costs.time, "perf_counter", lambda: next(ticks))  # every run takes one second
    roof = measure_roof(CPU, torch.float32)
    convolution = 2 * 9 * roofline.CHANNELS**2 * roofline.MAP_SIDE**2
    assert roof.flops_per_second == max(2 * 64**3, convolution)
    assert roof.bytes_per_second == 3 * 2**16  # the triad's arrays


def test_noise_is_the_same_every_time():
    first, second = (roofline._noise((3, 3), CPU, torch.float32) for _ in range(2))
    assert torch.equal(first, second) and first.std() > 0
