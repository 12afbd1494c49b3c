"""Linear gradient matching as its paper has it: autograd through cross-entropy of a linear classifier, one cosine."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def classifier_gradient(
    features: Tensor, labels: Tensor, weight: Tensor, image_weights: Tensor | None = None, *, bias: bool = True
) -> Tensor:
    """∇ of the mean cross-entropy (or the one weighted by image) in (W, b) at W = ``weight``, b = 0: one vector."""
    w = weight.detach().clone().requires_grad_(True)
    b = torch.zeros(len(weight), dtype=weight.dtype, requires_grad=True)
    losses = cross_entropy(features @ w.T + b, labels, reduction="none")
    loss = losses.mean() if image_weights is None else (image_weights * losses).sum()
    found = torch.autograd.grad(loss, [w, b] if bias else [w], create_graph=True)
    return torch.cat([part.flatten() for part in found])


def loss(real: Tensor, synthetic: Tensor) -> Tensor:
    """1 − cos of two gradients."""
    return 1 - (real @ synthetic) / (real.norm() * synthetic.norm())
