"""Images that stand for a class: nearest to the centres of clusters known beforehand."""

from __future__ import annotations

import torch

from csdm_cli.methods.gradient.centres import nearest_to_centres

# Two clusters of three points on a line each, whose middle points are their means.
POINTS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [100.0, 0.0], [101.0, 0.0], [102.0, 0.0]])


def test_the_middle_of_each_cluster_stands_for_it():
    found = nearest_to_centres(POINTS, 2, seed=3)
    assert found.dtype == torch.int64 and sorted(found.tolist()) == [1, 4]


def test_one_centre_is_the_mean_and_as_many_as_rows_are_all():
    assert nearest_to_centres(POINTS[:3], 1, seed=0).tolist() == [1]
    assert sorted(nearest_to_centres(POINTS, 6, seed=0).tolist()) == list(range(6))


def test_the_same_seed_gives_the_same_rows_and_a_large_one_is_no_mistake():
    rows = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(nearest_to_centres(rows, 7, 2**40 + 5), nearest_to_centres(rows, 7, 2**40 + 5))
