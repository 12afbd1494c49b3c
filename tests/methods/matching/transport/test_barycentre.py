"""The barycentre against exact alternation, and where it is known."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.methods.matching.transport import barycentre as module
from csdm_cli.methods.matching.transport.barycentre import barycentre, first_support
from tests.reference.wmdd import alternate, transport_cost


def cloud(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("n", "k"), [(12, 3), (11, 4), (6, 9)])
def test_support_is_the_exact_alternations(monkeypatch, n, k):
    monkeypatch.setattr(module, "ROUNDS", 3)
    monkeypatch.setattr(module, "GAIN", -1.0)
    points = cloud(n, seed=n)
    expected = alternate(points.tolist(), first_support(points, k, 5).tolist(), rounds=3)
    torch.testing.assert_close(barycentre(points, k, 5), torch.tensor(expected).double(), rtol=0, atol=2e-2)


def test_alternation_comes_nearer_to_the_points():
    points = cloud(20)
    start = transport_cost(points.tolist(), first_support(points, 4, 0).tolist())
    assert transport_cost(points.tolist(), barycentre(points, 4, 0).tolist()) < 0.8 * start


def test_one_support_point_is_the_mean_and_as_many_as_points_are_the_points():
    points = cloud(7)
    torch.testing.assert_close(barycentre(points, 1, 0), points.mean(0, keepdim=True))
    torch.testing.assert_close(barycentre(points, 7, 0), first_support(points, 7, 0))
    torch.testing.assert_close(barycentre(points[:1], 3, 0), points[:1].expand(3, 3))


def test_far_clusters_of_equal_weight_are_found():
    centres = 100 * torch.eye(3, dtype=torch.float64)
    points = torch.cat([centre + 0.1 * cloud(5, seed=i) for i, centre in enumerate(centres)])
    found = min(
        (barycentre(points, 3, seed) for seed in range(4)), key=lambda b: transport_cost(points.tolist(), b.tolist())
    )
    means = torch.stack([part.mean(0) for part in points.split(5)])
    nearest = torch.cdist(found, means).argmin(1)
    assert sorted(nearest.tolist()) == [0, 1, 2]
    torch.testing.assert_close(found, means[nearest], rtol=0, atol=1e-6)


def test_more_support_than_points_starts_apart():
    points = cloud(3)
    start = first_support(points, 8, 0)
    assert start.shape == (8, 3) and len(start.unique(dim=0)) == 8
    assert barycentre(points, 8, 0).isfinite().all()
