"""The images that leaves stand for, whatever these are: decoded once a step, with one way back into the leaves.

The graph is cut between the leaves and the images. Whoever adds up the images' gradient, chunk by chunk or through the
training of a network, does not see what they are made of; one backward pass then takes it to the leaves.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from csdm_cli.distillation.leaves import Leaves
from csdm_cli.distillation.real_side import RealSide
from csdm_cli.distillation.sharded import summed
from csdm_cli.distillation.step import Backward, Matching
from csdm_cli.methods.learning import LearningMethod, Scene
from csdm_cli.parallel.class_shares import ClassShare
from csdm_cli.parameterisations.parameterisation import Parameterisation

# How far beyond its bounds rounding takes a decoded pixel that is on them.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Decoded:
    """The images of the leaves.

    Attributes:
        made: (C·per_class, channels, H, W) with the graph of their making.
        images: the same, cut off from it, with a ``grad`` of their own; clipped to [0, 1], as they are when a set is
            used, so that pixels beyond have no gradient. Pixels on the bounds have one: it may lead back inside.
    """

    made: Tensor
    images: Tensor

    @classmethod
    def of(cls, leaves: Leaves, parameterisation: Parameterisation) -> Decoded:
        """The images of ``leaves`` as they are now."""
        made = parameterisation.decode(leaves.values)
        return cls(made, made.detach().clamp(0, 1).requires_grad_(True))

    def push_back(self) -> None:
        """Add what was added to the images' ``grad`` to that of the leaves."""
        if self.images.grad is not None:
            inside = (self.made >= -ROUNDING) & (self.made <= 1 + ROUNDING)
            self.made.backward(self.images.grad * inside)


def decoded_iteration(
    leaves: Leaves,
    parameterisation: Parameterisation,
    matching: Matching,
    real: RealSide,
    step: int,
    *,
    backward: Backward | None = None,
) -> dict[str, Tensor]:
    """One step of a matching method on images that are not plain pixels.

    ``backward`` may stand for ``matching.backward``.

    Returns:
        the named loss terms, as ``backward`` gives them.
    """
    target, decoded = real.at(step), Decoded.of(leaves, parameterisation)
    terms = (backward or matching.backward)(decoded.images, target, step)
    decoded.push_back()
    leaves.step(step)
    if matching.method.needs_moved_images:
        matching.after_move(_now(leaves, parameterisation), target, step)
    return terms


def learning_iteration(
    leaves: Leaves,
    parameterisation: Parameterisation,
    method: LearningMethod,
    step: int,
    *,
    share: ClassShare | None = None,
) -> dict[str, Tensor]:
    """One step of a method that learns through training.

    ``leaves`` and ``parameterisation`` are those of a ``share`` of the classes, if there is one.

    Returns:
        the named loss terms: scalars, or of a share one value per class.
    """
    first = 0 if share is None else share.first
    decoded = Decoded.of(leaves, parameterisation)
    terms = method.step(Scene(decoded.images, parameterisation.per_class, leaves.learned, first), step)
    decoded.push_back()
    leaves.step(step)
    if method.needs_moved_images:
        method.after_move(moved_scene(leaves, parameterisation, first), step)
    if share is not None:
        return terms
    return {name: summed(value) if value.ndim else value for name, value in terms.items()}


def moved_scene(leaves: Leaves, parameterisation: Parameterisation, first: int = 0) -> Scene:
    """The synthetic side as it is now, from class ``first`` on, without a graph."""
    learned = {name: value.detach() for name, value in leaves.learned.items()}
    return Scene(_now(leaves, parameterisation), parameterisation.per_class, learned, first)


@torch.no_grad()
def _now(leaves: Leaves, parameterisation: Parameterisation) -> Tensor:
    return parameterisation.decode(leaves.values).clamp(0, 1)
