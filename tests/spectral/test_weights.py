"""How α follows the class sizes."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.names import AlphaSchedule
from csdm_cli.spectral.weights import alphas

COUNTS = [500, 100, 20, 5]


def test_constant_is_the_heads_alpha():
    assert alphas(COUNTS, AlphaSchedule.constant, 0.7, 0.3).tolist() == [0.7] * 4


def test_log_count_is_linear_in_the_logarithm_between_the_ends():
    values = alphas([1000, 100, 10, 1], AlphaSchedule.log_count, 0.75, 0.3)
    torch.testing.assert_close(values, torch.tensor([0.75, 0.6, 0.45, 0.3], dtype=torch.float64))


def test_ends_are_exact_and_in_the_order_of_the_counts():
    values = alphas([20, 5, 500], AlphaSchedule.log_count, 0.7, 0.3)
    assert values[2].item() == 0.7 and values[1].item() == 0.3
    assert values[0].item() == pytest.approx(0.3 + 0.4 * math.log(4) / math.log(100))


def test_reversed_swaps_the_ends():
    swapped = alphas(COUNTS, AlphaSchedule.log_count, 0.3, 0.7)
    assert torch.equal(alphas(COUNTS, AlphaSchedule.reversed, 0.7, 0.3), swapped)


@pytest.mark.parametrize("schedule", list(AlphaSchedule))
def test_equal_counts_are_constant(schedule):
    assert alphas([40, 40, 40], schedule, 0.7, 0.3).tolist() == [0.7] * 3


@given(
    counts=st.lists(st.integers(1, 10_000), min_size=1, max_size=20),
    schedule=st.sampled_from(list(AlphaSchedule)),
    ends=st.tuples(st.floats(0.001, 0.999), st.floats(0.001, 0.999)),
)
def test_alphas_are_monotone_in_the_count_and_between_the_ends(counts, schedule, ends):
    head, tail = max(ends), min(ends)
    values = alphas(counts, schedule, head, tail).tolist()
    assert all(tail <= value <= head for value in values)
    ordered = [value for _, value in sorted(zip(counts, values, strict=True))]
    steps = [after - before for before, after in pairwise(ordered)]
    sign = -1 if schedule is AlphaSchedule.reversed else 1
    assert all(sign * step >= -1e-12 for step in steps)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 1.2, math.nan])
@pytest.mark.parametrize(("end", "size"), [("head", "largest"), ("tail", "smallest")])
def test_ends_outside_the_open_interval_are_refused(end, size, value):
    ends = {"head": 0.7, "tail": 0.3} | {end: value}
    with pytest.raises(UsageError, match=rf"α of the {size} class is .*between 0 and 1, both excluded"):
        alphas(COUNTS, AlphaSchedule.log_count, **ends)


def test_a_class_without_images_is_refused():
    with pytest.raises(CsdmError, match="class 2 has no images"):
        alphas([5, 3, 0], AlphaSchedule.log_count, 0.7, 0.3)
