"""A ridge probe as the formula has it: W of D × C numbers, image by image, nothing saved."""

from __future__ import annotations

import torch
from torch import Tensor


def probe(features: Tensor, labels: Tensor, classes: int, strength: float) -> tuple[Tensor, Tensor]:
    """Weights (D, C) and bias (C,) of min Σ_i ‖W z_i + b − y_i‖² + λ‖W‖², λ = strength · mean ‖z_i − z̄‖²."""
    targets = torch.zeros(len(labels), classes, dtype=features.dtype)
    for row, label in enumerate(labels.tolist()):
        targets[row, label] = 1
    centre, share = features.mean(0), targets.mean(0)
    moment = torch.zeros(features.shape[1], features.shape[1], dtype=features.dtype)
    product = torch.zeros(features.shape[1], classes, dtype=features.dtype)
    length = torch.zeros((), dtype=features.dtype)
    for own, target in zip(features, targets, strict=True):
        moment = moment + torch.outer(own - centre, own - centre)
        product = product + torch.outer(own - centre, target - share)
        length = length + (own - centre).square().sum() / len(features)
    weights = torch.linalg.inv(moment + strength * length * torch.eye(len(moment), dtype=moment.dtype)) @ product
    return weights, share - centre @ weights


def loss(
    features: Tensor, labels: Tensor, real: list[Tensor], strength: float, temperature: float, outer: str
) -> Tensor:
    """The outer loss on the real features (n_c, D) of each class: a sum of class means, C·π_c times each if plain."""
    weights, bias = probe(features, labels, len(real), strength)
    whole = sum(len(own) for own in real)
    total = features.new_zeros(())
    for label, own in enumerate(real):
        for image in own:
            logits = (image @ weights + bias) / temperature
            if outer == "logit-adjusted":
                logits = logits + torch.tensor([len(other) / whole for other in real], dtype=logits.dtype).log()
            entropy = logits.logsumexp(0) - logits[label]
            total = total + entropy * (1 / len(own) if outer == "balanced" else len(real) / whole)
    return total
