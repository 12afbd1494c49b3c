"""IID's two terms in plain Python (Deng et al., CVPR 2024, arXiv 2404.00563: L = L_DM + λ_CC·L_CC + λ_CM·L_CM).

Features are lists of one list per image; a local map is the feature list cut into channels of positions.
"""

from __future__ import annotations

import math


def mean_of(rows: list[list[float]]) -> list[float]:
    return [math.fsum(row[j] for row in rows) / len(rows) for j in range(len(rows[0]))]


def squared_distance(x: list[float], y: list[float]) -> float:
    return math.fsum((a - b) ** 2 for a, b in zip(x, y, strict=True))


def centralization(own: list[list[float]], exponent: float = 0.0) -> float:
    """L_CC of one class: Σ_i ‖ψ(s_i) - mean ψ‖², or Σ_i exp(a·‖·‖²) for an exponent a > 0."""
    centre = mean_of(own)
    squared = [squared_distance(row, centre) for row in own]
    return math.fsum(math.exp(exponent * value) for value in squared) if exponent > 0 else math.fsum(squared)


def local_covariance(rows: list[list[float]], channels: int) -> list[list[float]]:
    """mean over images of x xᵀ, x (channels x positions) the image's map minus the mean map."""
    positions = len(rows[0]) // channels
    centre = mean_of(rows)
    result = [[0.0] * channels for _ in range(channels)]
    for a in range(channels):
        for b in range(channels):
            for row in rows:
                for p in range(positions):
                    i, j = a * positions + p, b * positions + p
                    result[a][b] += (row[i] - centre[i]) * (row[j] - centre[j]) / len(rows)
    return result


def covariance(real: list[list[float]], own: list[list[float]], channels: int) -> float:
    """L_CM of one class: ‖Cov_T - Cov_S‖²_F."""
    one, other = local_covariance(real, channels), local_covariance(own, channels)
    return math.fsum((one[a][b] - other[a][b]) ** 2 for a in range(channels) for b in range(channels))
