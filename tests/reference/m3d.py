"""M3D in plain Python (Zhang et al., AAAI 2024, arXiv 2312.15927): biased MMD² and central moments of one class."""

from __future__ import annotations

import math

from tests.reference.iid import mean_of, squared_distance


def mean_squared_distance(real: list[list[float]], own: list[list[float]]) -> float:
    """Over all ordered pairs of different images, real and synthetic together."""
    rows = real + own
    pairs = [squared_distance(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]
    return math.fsum(pairs) / len(pairs)


def gaussian_mmd2(real: list[list[float]], own: list[list[float]], width: float, scales: int) -> float:
    """mean k(T,T) + mean k(S,S) - 2·mean k(T,S), k = Σ_j exp(-‖x-y‖²/(2^j·width)), j = -⌊scales/2⌋, …"""

    def kernel(x: list[float], y: list[float]) -> float:
        first = -(scales // 2)
        return math.fsum(math.exp(-squared_distance(x, y) / (2.0**j * width)) for j in range(first, first + scales))

    def mean(left: list[list[float]], right: list[list[float]]) -> float:
        return math.fsum(kernel(x, y) for x in left for y in right) / (len(left) * len(right))

    return mean(real, real) + mean(own, own) - 2 * mean(real, own)


def moment(rows: list[list[float]], order: int) -> list[float]:
    """Central moments of every feature."""
    centre = mean_of(rows)
    return [math.fsum((row[j] - centre[j]) ** order for row in rows) / len(rows) for j in range(len(centre))]


def moment_distance(real: list[list[float]], own: list[list[float]], order: int) -> float:
    """Squared distance of the central moments, over the squared length of the real deviations to that power."""
    scale = math.fsum(variance**order for variance in moment(real, 2))
    return squared_distance(moment(real, order), moment(own, order)) / scale
