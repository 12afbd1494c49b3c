"""DSDM in plain Python (Li et al., ACM Multimedia 2024): one class's three terms, all matrices written out."""

from __future__ import annotations

import math

from tests.reference.iid import mean_of, squared_distance


def covariance(rows: list[list[float]]) -> list[list[float]]:
    """d x d, over n - 1."""
    centre, dim = mean_of(rows), len(rows[0])
    return [
        [math.fsum((row[a] - centre[a]) * (row[b] - centre[b]) for row in rows) / (len(rows) - 1) for b in range(dim)]
        for a in range(dim)
    ]


def loss(
    real: list[list[float]],
    own: list[list[float]],
    history: list[float] | None,
    covariance_weight: float,
    history_weight: float,
) -> float:
    """‖p_T - p_S‖² + (w_cov/d)·‖Cov_T - Cov_S‖²_F + (w_hist/d)·‖p_S - h‖²."""
    dim = len(own[0])
    total = squared_distance(mean_of(real), mean_of(own))
    one, other = covariance(real), covariance(own)
    total += covariance_weight / dim * math.fsum(squared_distance(one[a], other[a]) for a in range(dim))
    if history is not None:
        total += history_weight / dim * squared_distance(mean_of(own), history)
    return total


def moving_average(prototypes: list[list[float]], momentum: float) -> list[float]:
    """h after a run of prototypes: h ← momentum·h + (1 - momentum)·p, from the first on."""
    history = prototypes[0]
    for prototype in prototypes[1:]:
        history = [momentum * h + (1 - momentum) * p for h, p in zip(history, prototype, strict=True)]
    return history
