"""NCFM's discrepancy from its definition (arXiv 2502.20653, the neural characteristic function discrepancy).

Per frequency t, with characteristic functions Φ of features of length 1:
√(a·(|Φ_T| − |Φ_S|)² + b·2(|Φ_T||Φ_S| − Re Φ_T·conj Φ_S)), averaged over t, times the weight, summed over classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tests.reference.spectral import characteristic_function


def discrepancy(
    real: list[Tensor], synthetic: list[Tensor], frequencies: Tensor, a: float, b: float, weight: float
) -> float:
    """One tensor (n, D) of unnormalised features per class; frequencies (K, D)."""
    total = 0.0
    for one, other in zip(real, synthetic, strict=True):
        p = characteristic_function(torch.stack([row / row.norm() for row in one]), frequencies)
        q = characteristic_function(torch.stack([row / row.norm() for row in other]), frequencies)
        terms = []
        for u, v in zip(p, q, strict=True):
            amplitude = (abs(u) - abs(v)) ** 2
            phase = 2 * (abs(u) * abs(v) - (u * v.conjugate()).real)
            terms.append(math.sqrt(a * amplitude + b * max(phase, 0.0)))
        total += weight * math.fsum(terms) / len(terms)
    return total


def sampled(weights: list[Tensor], biases: list[Tensor], noise: Tensor) -> list[list[float]]:
    """The sampling network, unit by unit: two layers, each normalised and leaky (0.2), then tanh of a third."""
    rows = []
    for z in noise.tolist():
        values = z
        for depth, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            pairs = zip(weight.tolist(), bias.tolist(), strict=True)
            values = [sum(w * v for w, v in zip(row, values, strict=True)) + offset for row, offset in pairs]
            if depth == len(weights) - 1:
                values = [math.tanh(v) for v in values]
                continue
            mean = sum(values) / len(values)
            spread = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values) + 1e-5)
            values = [(v - mean) / spread for v in values]
            values = [v if v > 0 else 0.2 * v for v in values]
        rows.append(values)
    return rows
