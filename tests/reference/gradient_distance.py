"""Distances of gradients, number by number."""

from __future__ import annotations

import math

from torch import Tensor

Gradients = dict[str, Tensor]


def rows(tensor: Tensor) -> list[list[float]]:
    return [row.flatten().tolist() for row in tensor]


def cosine(g: list[float], h: list[float], eps: float) -> float:
    inner = sum(a * b for a, b in zip(g, h, strict=True))
    return inner / (math.sqrt(sum(a * a for a in g)) * math.sqrt(sum(b * b for b in h)) + eps)


def dc(real: Gradients, synthetic: Gradients, eps: float) -> float:
    return sum(
        1 - cosine(g, h, eps)
        for name in real
        if real[name].ndim > 1
        for g, h in zip(rows(real[name]), rows(synthetic[name]), strict=True)
    )


def idc(real: Gradients, synthetic: Gradients, power: int) -> float:
    total = 0.0
    for name, value in real.items():
        if value.ndim == 4:
            for a, b in zip(value.flatten().tolist(), synthetic[name].flatten().tolist(), strict=True):
                total += abs(a - b) ** power
    return total
