"""WMDD from its formulas (Liu et al., ICCV 2025, arXiv 2311.18531): exact transport by a linear programme, loops."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import linprog

from tests.reference.iid import mean_of, squared_distance


def exact_plan(cost: list[list[float]]) -> np.ndarray:
    """The cheapest plan with rows summing to 1/n and columns to 1/k."""
    n, k = len(cost), len(cost[0])
    rows = [[1.0 if i == row else 0.0 for i in range(n) for _ in range(k)] for row in range(n)]
    columns = [[1.0 if j == column else 0.0 for _ in range(n) for j in range(k)] for column in range(k)]
    flat = [value for row in cost for value in row]
    result = linprog(flat, A_eq=rows + columns, b_eq=[1 / n] * n + [1 / k] * k, method="highs")
    return result.x.reshape(n, k)


def distances(points: list[list[float]], support: list[list[float]]) -> list[list[float]]:
    return [[squared_distance(x, b) for b in support] for x in points]


def alternate(points: list[list[float]], support: list[list[float]], rounds: int) -> list[list[float]]:
    """Free-support barycentre of one measure: exact plan, every support point to the mean of its mass; again."""
    for _ in range(rounds):
        plan = exact_plan(distances(points, support))
        support = [
            [
                math.fsum(plan[i][j] * points[i][d] for i in range(len(points))) / plan[:, j].sum()
                for d in range(len(points[0]))
            ]
            for j in range(len(support))
        ]
    return support


def transport_cost(points: list[list[float]], support: list[list[float]]) -> float:
    """W₂² between the points and the support, both of equal weights."""
    return float((exact_plan(distances(points, support)) * np.array(distances(points, support))).sum())


def feature_loss(own: list[list[float]], support: list[list[float]]) -> float:
    """‖F_S - b‖_F of one class, image i against support point i."""
    return math.sqrt(math.fsum(squared_distance(x, b) for x, b in zip(own, support, strict=True)))


def channel_statistics(maps: list[list[list[float]]]) -> tuple[list[float], list[float]]:
    """Mean and biased variance per channel of what reaches a batch-norm layer: images x channels x positions."""
    means, variances = [], []
    for channel in range(len(maps[0])):
        values = [value for image in maps for value in image[channel]]
        (mean,) = mean_of([[value] for value in values])
        means.append(mean)
        variances.append(math.fsum((value - mean) ** 2 for value in values) / len(values))
    return means, variances


def batch_norm_loss(own: list[list[list[list[float]]]], real: list[list[list[list[float]]]]) -> float:
    """Σ_layers ‖μ^S - μ^T‖ + ‖σ²^S - σ²^T‖ of one class; one entry per layer."""
    total = 0.0
    for mine, theirs in zip(own, real, strict=True):
        for one, other in zip(channel_statistics(mine), channel_statistics(theirs), strict=True):
            total += math.sqrt(squared_distance(one, other))
    return total
