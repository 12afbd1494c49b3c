"""A distance of gradients and its derivative in the synthetic images, in memory that does not grow with their number.

The distance D is a function of the synthetic gradient g alone. So g is computed without a graph, v = ∂D/∂g from it, and
then the images' derivative is that of ⟨v, g⟩, image by image: exact, at the memory of one piece of images. So it is for
images that are one piece, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from csdm_cli.methods.gradient.distances import Distance, Gradients
from csdm_cli.training.second_order import Objective, Weights, gradient, pull


@dataclass(frozen=True)
class Matched:
    """The distance of two gradients.

    Attributes:
        distance: D, a scalar.
        images: ∂D/∂images.
        targets: ∂D/∂targets; None for targets that are classes.
    """

    distance: Tensor
    images: Tensor
    targets: Tensor | None


def match_gradients(
    distance: Distance, real: Gradients, objective: Objective, weights: Weights, images: Tensor, targets: Tensor
) -> Matched:
    """D(real, ∇_θ objective(θ; images, targets)) at θ = ``weights``, and its derivatives.

    Args:
        distance: D.
        real: the real images' gradient, by the names of ``weights``.
        objective: a network's loss on a batch.
        weights: θ.
        images, targets: the synthetic batch, as the network sees it.
    """
    synthetic = {
        name: value.requires_grad_(True) for name, value in gradient(objective, weights, images, targets).items()
    }
    with torch.enable_grad():
        value = distance(real, synthetic)
    found = torch.autograd.grad(value, list(synthetic.values()), allow_unused=True)
    # What the distance does not read takes no part in the second pass.
    v = {name: own for name, own in zip(synthetic, found, strict=True) if own is not None}
    pulled = pull(v, objective, weights, images, targets, through_weights=False)
    return Matched(value.detach(), pulled.images, pulled.targets)
