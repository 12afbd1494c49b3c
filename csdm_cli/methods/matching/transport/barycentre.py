"""The Wasserstein-2 barycentre of one point set on fewer, movable points of equal weights.

Of a single measure the barycentre on k support points is the k points nearest to it in W₂. It is found by the
free-support alternation (Cuturi and Doucet 2014, "Fast computation of Wasserstein barycenters", algorithm 2):
the optimal plan to the present support, then every support point to the mean of the mass it receives. With the
plan exact this is k-means in which all clusters weigh the same.

POT has the same alternation with plans by network simplex (``ot.lp.free_support_barycenter``, 0.9.7). From the same
start, 25 to 5,000 unit vectors of five clouds onto 10 or 50, its W₂² and ours differ by 0.1 % at most: ours is lower
in four cases of seven, POT's in two (``benchmarks/barycentres.py``). On one CPU core POT takes a third of the time at
5,000 points, less below. It is not used: its simplex knows the CPU and NumPy alone, while these plans are passes over
costs that stay where the features are, and it would change every set that wmdd makes, for no better barycentre.
"""

from __future__ import annotations

import torch
from torch import Tensor

from csdm_cli.methods.matching.transport.plan import uniform_plan
from csdm_cli.seeds import generator

ROUNDS = 30
# Relative gain of a round below which the support is settled.
GAIN = 1e-3
# Support points that start at the same point are moved apart by this share of the points' deviation.
APART = 1e-2


def barycentre(points: Tensor, count: int, seed: int) -> Tensor:
    """Support points of the barycentre.

    Args:
        points: (n, D).
        count: k, the support points; may be more than n.
        seed: seed of the points that the support starts at. Point sets of one length start at the same positions, so
            that the same images seen through other features give supports in nearly the same order.

    Returns:
        (k, D), in the points' dtype.
    """
    support = first_support(points, count, seed)
    before = float("inf")
    for _ in range(ROUNDS):
        cost = squared_distances(points, support)
        plan = uniform_plan(cost)
        support = (plan / plan.sum(0).clamp_min(1e-30)).T.to(points.dtype) @ points
        value = float((plan * cost).sum())
        if value >= before * (1 - GAIN):
            break
        before = value
    return support


def first_support(points: Tensor, count: int, seed: int) -> Tensor:
    """``count`` of the points without replacement; beyond n, in further rounds, moved apart."""
    rng = generator(seed, "support", len(points))
    rounds = -(-count // len(points))
    chosen = torch.cat([torch.randperm(len(points), generator=rng) for _ in range(rounds)])[:count]
    support = points[chosen.to(points.device)]
    repeated = support[len(points) :]
    noise = torch.randn(repeated.shape, generator=rng, dtype=torch.float64).to(points)
    deviation = points.std(0, correction=0)
    return torch.cat([support[: len(points)], repeated + APART * deviation * noise])


def squared_distances(points: Tensor, support: Tensor) -> Tensor:
    """‖x_i - b_j‖² of (n, D) and (k, D): (n, k), from one matrix product of centred rows."""
    centre = points.mean(0)
    x, b = points - centre, support - centre
    return (x.square().sum(1)[:, None] + b.square().sum(1) - 2 * x @ b.T).clamp_min(0)
