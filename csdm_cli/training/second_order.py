"""Derivatives of a training gradient: what gradient and trajectory matching are made of.

Both kinds of method compare something that was made of g = ∇_θ loss(θ; x, y) with a target, and need the derivative of
the comparison in the images x, the targets y and, for trajectories, the weights θ. By the chain rule all of it is one
operation, :func:`pull`: ∂⟨v, g⟩/∂(x, y, θ) for a fixed v, where v is the derivative of the comparison in g. As g is a
mean over images, each image's part stands alone once v is known, so that both functions work in pieces and the
memory does not grow with the number of images. (A network that couples the images of a batch has no such parts.)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.nn.functional import cross_entropy

# Named parameters of a network, or anything of their shapes.
Weights = dict[str, Tensor]
# Maps logits (N, C) and targets, (N, C) of floats or (N,) of classes, to one loss per image, (N,).
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """The mean over images of a loss of a network's logits, as a function of weights, images and targets.

    Attributes:
        network: maps images (N, …) to logits (N, C); its samples must not influence each other.
        loss: one loss per image; :func:`hard`, :func:`soft`, :func:`weighted`, :func:`of_label_logits`.
        at_once: images per piece; the result is the same up to rounding, the memory is not.
        fixed: named weights that are not among those of the function's argument.
    """

    network: nn.Module
    loss: Loss
    at_once: int
    fixed: Mapping[str, Tensor] = field(default_factory=dict)

    def part(self, weights: Weights, images: Tensor, targets: Tensor, total: int) -> Tensor:
        """The contribution of ``images``, of ``total`` in all, to the mean: a scalar."""
        return self.loss(self.logits(weights, images), targets).sum() / total

    def logits(self, weights: Weights, images: Tensor) -> Tensor:
        """(N, …) -> (N, C)."""
        logits: Tensor = functional_call(self.network, {**self.fixed, **weights}, (images,))
        return logits

    def pieces(self, images: Tensor, targets: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Images (N, …) and targets (N, …), ``at_once`` at a time."""
        assert len(images) == len(targets) > 0 and self.at_once > 0
        return list(zip(images.split(self.at_once), targets.split(self.at_once), strict=True))


def hard(logits: Tensor, classes: Tensor) -> Tensor:
    """−log softmax(logits) of the class: (N, C), (N,) of integers -> (N,)."""
    return cross_entropy(logits, classes, reduction="none")


def soft(logits: Tensor, targets: Tensor) -> Tensor:
    """``−Σ_k target_k · log softmax(logits)_k``: (N, C), (N, C) -> (N,), differentiable in both."""
    return -(targets * logits.log_softmax(1)).sum(1)


def weighted(class_weights: Tensor) -> Loss:
    """``−Σ_k w_k · target_k · log softmax(logits)_k`` for weights w (C,): (N, C), (N, C) -> (N,)."""

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return soft(logits, targets * class_weights.to(targets))

    return loss


def of_label_logits(loss: Loss) -> Loss:
    """``loss`` at the targets softmax(y): for labels that are learned through their logits y, (N, C)."""

    def shifted(logits: Tensor, label_logits: Tensor) -> Tensor:
        return loss(logits, label_logits.softmax(1))

    return shifted


@dataclass(frozen=True)
class Pulled:
    """⟨v, ∇_θ loss⟩ and its derivatives.

    Attributes:
        value: ⟨v, ∇_θ loss⟩, a scalar.
        images: its derivative in the images, of their shape.
        targets: in the targets, of their shape; None for targets that are classes.
        weights: in the weights θ, by name; empty if not wanted.
    """

    value: Tensor
    images: Tensor
    targets: Tensor | None
    weights: Weights


def gradient(objective: Objective, weights: Weights, images: Tensor, targets: Tensor) -> Weights:
    """∇_θ of the mean loss at θ = ``weights``, by name, without a graph; 0 for a weight that is not used."""
    leaves = _leaves(weights)
    total = {name: torch.zeros_like(value) for name, value in weights.items()}
    for piece, own in objective.pieces(images.detach(), targets.detach()):
        with torch.enable_grad():
            part = objective.part(leaves, piece, own, len(images))
        found = torch.autograd.grad(part, list(leaves.values()), allow_unused=True)
        for name, value in zip(leaves, found, strict=True):
            if value is not None:
                total[name] += value
    return total


def pull(
    v: Weights, objective: Objective, weights: Weights, images: Tensor, targets: Tensor, *, through_weights: bool = True
) -> Pulled:
    """The derivatives of ⟨v, ∇_θ loss⟩ in images, targets and weights, piece by piece.

    Args:
        v: one tensor per weight, of its shape; weights without one count as 0.
        objective: the loss.
        weights: θ, where the gradient is taken.
        images, targets: as the objective's; integer targets have no derivative.
        through_weights: whether the derivative in θ (the Hessian times v) is wanted.
    """
    leaves = _leaves(weights) if through_weights else {name: value.detach() for name, value in weights.items()}
    inner = images.new_zeros(())
    hessian = {name: torch.zeros_like(value) for name, value in weights.items()} if through_weights else {}
    by_image, by_target = [], []
    soft_targets = targets.is_floating_point()
    for piece, own in objective.pieces(images, targets):
        moving = [piece.detach().requires_grad_(True)]
        goal = own.detach().requires_grad_(soft_targets)
        moving += [goal] if soft_targets else []
        moving += list(leaves.values()) if through_weights else []
        slope = _slope(v, objective, leaves, moving[0], goal) / len(images)
        derivatives = list(torch.autograd.grad(slope, moving, materialize_grads=True, allow_unused=True))
        inner = inner + slope.detach()
        by_image.append(derivatives.pop(0))
        by_target += [derivatives.pop(0)] if soft_targets else []
        for name, derivative in zip(hessian, derivatives, strict=True):
            hessian[name] += derivative
    return Pulled(inner, torch.cat(by_image), torch.cat(by_target) if soft_targets else None, hessian)


def _slope(v: Weights, objective: Objective, at: Weights, images: Tensor, targets: Tensor) -> Tensor:
    """⟨v, ∇ of the losses' sum⟩ at some weights, a scalar to be differentiated.

    It is ⟨∂ loss/∂ logits, how fast the logits move as the weights move by v⟩, and a network's forward mode tells the
    latter. That takes a fifth fewer products than the graph of a gradient, and less memory.
    """
    _know_forward_mode()
    try:
        with torch.enable_grad(), forward_ad.dual_level():
            moving = {name: forward_ad.make_dual(w, v[name].detach()) if name in v else w for name, w in at.items()}
            logits, moves = forward_ad.unpack_dual(objective.logits(moving, images))
            if moves is None:  # whatever moves is not used
                moves = torch.zeros_like(logits)
    except NotImplementedError:  # some operation, of a network of the user's own, has no forward mode
        return _slope_of_a_graph(v, objective, at, images, targets)
    with torch.enable_grad():
        losses = objective.loss(logits, targets).sum()
        (by_logits,) = torch.autograd.grad(losses, logits, create_graph=True)
        slope: Tensor = (by_logits * moves).sum()
        return slope


def _slope_of_a_graph(v: Weights, objective: Objective, at: Weights, images: Tensor, targets: Tensor) -> Tensor:
    """:func:`_slope` from the gradient and its graph."""
    with torch.enable_grad():
        leaves = {name: w if w.requires_grad else w.clone().requires_grad_(True) for name, w in at.items()}
        losses = objective.loss(objective.logits(leaves, images), targets).sum()
        own = [leaves[name] for name in v]
        found = torch.autograd.grad(losses, own, create_graph=True, materialize_grads=True, allow_unused=True)
        return torch.stack([(v[name].detach() * g).sum() for name, g in zip(v, found, strict=True)]).sum()


@cache
def _know_forward_mode() -> None:
    """Let torch import what it does with the first dual number, without its warning about its own means."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        with forward_ad.dual_level():
            forward_ad.make_dual(torch.zeros(1), torch.zeros(1))


def _leaves(weights: Weights) -> Weights:
    return {name: value.detach().requires_grad_(True) for name, value in weights.items()}
