"""The quadratic-time MMD against what it is in closed form."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.names import KernelName
from csdm_cli.spectral.mmd import biased_mmd2


def rows(seed: int, count: int) -> torch.Tensor:
    return torch.randn(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_linear_kernel_compares_means():
    x, y = rows(0, 5), rows(1, 7)
    found = biased_mmd2(x, y, KernelName.linear, 1.0, 1.0)
    torch.testing.assert_close(found, (x.mean(0) - y.mean(0)).square().sum())


def test_two_points_under_the_gaussian_kernel():
    """κ = exp(-d²/2ℓ²) at d = 3, ℓ = 2, and 1 of a point with itself: 2 - 2κ."""
    x, y = torch.zeros(1, 3, dtype=torch.float64), torch.tensor([[3.0, 0.0, 0.0]], dtype=torch.float64)
    found = biased_mmd2(x, y, KernelName.rbf, 2.0, 1.0)
    assert float(found) == pytest.approx(2 - 2 * float(torch.exp(torch.tensor(-9 / 8, dtype=torch.float64))))


@pytest.mark.parametrize("kernel", [KernelName.rbf, KernelName.rational_quadratic, KernelName.polynomial])
def test_equal_sets_have_none_and_sides_can_be_exchanged(kernel):
    x, y = rows(0, 5), rows(1, 7)
    assert abs(float(biased_mmd2(x, x.flip(0), kernel, 1.5, 2.0))) < 1e-12
    torch.testing.assert_close(biased_mmd2(x, y, kernel, 1.5, 2.0), biased_mmd2(y, x, kernel, 1.5, 2.0))
    assert float(biased_mmd2(x, y, kernel, 1.5, 2.0)) > 0
