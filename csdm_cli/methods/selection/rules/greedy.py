"""Greedy choices among the images of one class, as functions of numbers alone.

All return positions in the order of picking. No image is picked twice, however many are alike; of several equally
good ones the first is picked.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def herding(features: Tensor, count: int) -> Tensor:
    """Images whose running mean stays closest to the mean of all (Welling 2009; as in iCaRL, algorithm 4).

    The i-th pick minimises ‖i·μ − Σ_{p picked} f_p − f_x‖ over the images x that are left. With features centred at
    μ that is ‖Σ_{p picked} f_p + f_x‖, of whose square one term alone changes from pick to pick.

    Args:
        features: (n, D).
        count: how many to pick, n at most.

    Returns:
        (count,) positions.
    """
    centred = features - features.mean(0)
    lengths = centred.square().sum(1)
    total, picks = torch.zeros_like(centred[0]), list[int]()
    for _ in range(count):
        picks.append(_best_left(-(lengths + centred @ (2 * total)), picks))
        total += centred[picks[-1]]
    return torch.tensor(picks)


def k_center(features: Tensor, count: int, first: int) -> Tensor:
    """Farthest-first traversal (Gonzalez 1985; Sener and Savarese 2018, algorithm 1).

    Every pick after ``first`` maximises the distance to the nearest picked image. The largest distance of any image
    to its nearest pick is then at most twice the smallest that ``count`` images allow.

    Args:
        features: (n, D).
        count: how many to pick, n at most.
        first: position of the first pick.

    Returns:
        (count,) positions.
    """
    picks, nearest = [first], torch.full_like(features[:, 0], torch.inf)  # distance to the nearest pick
    while len(picks) < count:
        # from differences: the usual product of matrices loses the distances of near-equal images
        away = torch.cdist(features, features[picks[-1]][None], compute_mode="donot_use_mm_for_euclid_dist")
        nearest = torch.minimum(nearest, away[:, 0])
        picks.append(_best_left(nearest, picks))
    return torch.tensor(picks)


def graph_cut(total: Tensor, column: Callable[[int], Tensor], count: int, weight: float) -> Tensor:
    """Images similar to their class and unlike each other (Iyer and Bilmes 2013; Iyer et al. 2021).

    Each pick has the largest gain λ·Σ_j s(j, x) − 2·Σ_{p picked} s(p, x). With s(x, x) the same for all, that is the
    gain, up to a constant, of f(A) = λ·Σ_j Σ_{p∈A} s(j, p) − Σ_{p∈A} Σ_{q∈A} s(p, q).

    Args:
        total: (n,) Σ_j s(j, x) over the whole class.
        column: gives the similarities s(·, p) of an image p to all, (n,).
        count: how many to pick, n at most.
        weight: λ.

    Returns:
        (count,) positions.
    """
    gains, picks = weight * total, list[int]()
    for _ in range(count):
        picks.append(_best_left(gains, picks))
        gains = gains - 2 * column(picks[-1])
    return torch.tensor(picks)


def _best_left(scores: Tensor, picks: list[int]) -> int:
    """The position of the highest score (n,) that is not among ``picks``."""
    assert len(picks) < len(scores)
    left = scores.clone()
    left[picks] = -torch.inf
    return int(left.argmax())
