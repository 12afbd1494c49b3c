"""The plan against exact transport."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from csdm_cli.methods.matching.transport.plan import TOLERANCE, uniform_plan
from tests.reference.wmdd import exact_plan


def costs(n: int, k: int, seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 5, generator=rng, dtype=torch.float64)
    y = torch.randn(k, 5, generator=rng, dtype=torch.float64)
    return torch.cdist(x, y).square()


@pytest.mark.parametrize(("n", "k"), [(1, 1), (7, 3), (12, 4), (5, 8), (20, 5), (1, 4), (30, 7)])
@pytest.mark.parametrize("seed", range(3))
def test_plan_is_the_linear_programmes(n, k, seed):
    cost = costs(n, k, seed)
    plan, exact = uniform_plan(cost), torch.from_numpy(exact_plan(cost.tolist()))
    assert float((plan * cost).sum()) == pytest.approx(float((exact * cost).sum()), rel=1e-3)
    torch.testing.assert_close(plan, exact, rtol=0, atol=2e-2 / max(n, k))
    torch.testing.assert_close(plan.sum(1), torch.full((n,), 1 / n, dtype=torch.float64))
    assert float((k * plan.sum(0) - 1).abs().max()) < TOLERANCE


def test_as_many_points_on_both_sides_are_an_assignment():
    cost = costs(9, 9, 0)
    rows, columns = linear_sum_assignment(cost.numpy())
    expected = torch.zeros(9, 9, dtype=torch.float64)
    expected[rows, columns] = 1 / 9
    torch.testing.assert_close(uniform_plan(cost), expected, rtol=0, atol=1e-6)


def test_plan_of_equal_costs_and_of_equal_points():
    even = torch.full((3, 2), 1 / 6, dtype=torch.float64)
    assert torch.equal(uniform_plan(torch.full((3, 2), 7.0)), even)
    twins = torch.tensor([[0.0, 0.0, 1.0]] * 4 + [[1.0, 1.0, 0.0]] * 2)
    plan = uniform_plan(twins)
    torch.testing.assert_close(plan[:, 0], plan[:, 1])
    assert float((plan * twins).sum()) == pytest.approx(0, abs=1e-6)


def test_costs_far_apart_in_size_stay_finite():
    cost = costs(40, 6, 1)
    cost[:, 0] += 1e4  # every point would rather go elsewhere, and a sixth must not
    plan = uniform_plan(cost)
    assert plan.isfinite().all() and float((6 * plan.sum(0) - 1).abs().max()) < 1e-3
