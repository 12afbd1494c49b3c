"""IDM's loss of one network (arXiv 2307.09742, and its released code for the accuracy), image by image.

Σ_c ‖mean φ(T_c) − mean φ(S_c)‖² + λ·a·(mean over S_c of −log softmax(g(s))_c), a in percent.
"""

from __future__ import annotations

import math

from torch import Tensor


def loss(real: list[Tensor], synthetic: list[Tensor], logits: list[Tensor], ce_weight: float, accuracy: float) -> float:
    """One tensor per class: features (n, D), and logits (m, C) of the synthetic images."""
    total = 0.0
    for label, (one, other, scores) in enumerate(zip(real, synthetic, logits, strict=True)):
        total += mean_distance(one, other) + ce_weight * accuracy * cross_entropy(scores, label)
    return total


def mean_distance(one: Tensor, other: Tensor) -> float:
    """‖mean − mean‖² over rows."""
    total = 0.0
    for p, q in zip(one.T.tolist(), other.T.tolist(), strict=True):
        total += (math.fsum(p) / len(p) - math.fsum(q) / len(q)) ** 2
    return total


def cross_entropy(logits: Tensor, label: int) -> float:
    """Mean of −log softmax at ``label`` over rows."""
    rows = logits.tolist()
    return math.fsum(math.log(math.fsum(math.exp(v - row[label]) for v in row)) for row in rows) / len(rows)


def right_percent(predictions: list[list[int]], counts: tuple[int, ...]) -> float:
    """Training accuracy over all images, whatever their class, from predictions per class."""
    right = sum(guess == label for label, own in enumerate(predictions) for guess in own)
    return 100 * right / sum(counts)
