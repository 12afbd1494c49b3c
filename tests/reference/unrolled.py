"""A student's training and its derivatives, the slow and obvious way: one graph, and differences."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def softmax_cross_entropy(logits: Tensor, targets: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """The mean over rows of -Σ_k w_k t_k log p_k, spelt out."""
    shifted = logits - logits.max(1, keepdim=True).values
    log_p = shifted - shifted.exp().sum(1, keepdim=True).log()
    weights = torch.ones_like(targets) if class_weights is None else class_weights.expand_as(targets)
    return -(weights * targets * log_p).sum() / len(logits)


def train(
    forward: Callable[[list[Tensor], Tensor], Tensor],
    start: list[Tensor],
    batches: list[tuple[Tensor, Tensor]],
    rate: Tensor,
    *,
    detached: bool = False,
) -> list[Tensor]:
    """Weights after one step per minibatch, with the graph of everything.

    Args:
        detached: whether states count as constants in the gradients taken at them (TESLA's approximation).
    """
    weights = [value.clone().requires_grad_(True) for value in start]
    for images, targets in batches:
        at = [value.detach().requires_grad_(True) for value in weights] if detached else weights
        loss = softmax_cross_entropy(forward(at, images), targets)
        moves = torch.autograd.grad(loss, at, create_graph=True)
        weights = [value - rate * move for value, move in zip(weights, moves, strict=True)]
    return weights


def difference(function: Callable[[Tensor], Tensor], at: Tensor, index: tuple[int, ...], step: float = 1e-5) -> float:
    """∂function/∂at[index] by a fourth-order central difference."""

    def moved(by: float) -> float:
        there = at.detach().clone()
        there[index] += by
        return float(function(there))

    near, far = moved(step) - moved(-step), moved(2 * step) - moved(-2 * step)
    return (8 * near - far) / (12 * step)
