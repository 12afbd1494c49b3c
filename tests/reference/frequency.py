"""The discrete cosine transform, sum by sum."""

from __future__ import annotations

import math
from itertools import combinations

import torch
from torch import Tensor


def dct_of_released_code(image: Tensor) -> Tensor:
    """X_kl = Σ_mn 2·2·x_mn cos cos of one (H, H) image: FreD's transform, which is not orthonormal."""
    size = len(image)
    wave = [[2 * math.cos(math.pi * (2 * n + 1) * k / (2 * size)) for n in range(size)] for k in range(size)]
    out = torch.zeros_like(image)
    for k in range(size):
        for el in range(size):
            out[k, el] = sum(wave[k][m] * wave[el][n] * float(image[m, n]) for m in range(size) for n in range(size))
    return out


def best_mask(coefficients: Tensor, kept: int) -> set[int]:
    """The set of ``kept`` coordinates of (n, P) coefficients that loses least variance."""
    centred = coefficients - coefficients.mean(0)

    def lost(mask: tuple[int, ...]) -> float:
        rest = [i for i in range(coefficients.shape[1]) if i not in mask]
        return float(centred[:, rest].square().sum())

    return set(min(combinations(range(coefficients.shape[1]), kept), key=lost))
