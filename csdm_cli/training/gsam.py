"""GSAM: gradients that lead to flat minima, by which FTD, DATM and LAD train their experts.

Zhuang et al. 2022, "Surrogate Gap Minimization Improves Sharpness-Aware Training", with the adaptive perturbation of
ASAM (Kwon et al. 2021), as in Du et al. 2023, "Minimizing the Accumulated Trajectory Error to Improve Dataset
Distillation": g' is the gradient of the same batch at w + e, e = ρ·w²·g/‖|w|·g‖ over all weights jointly, and the step
goes along g' − a·(g − (⟨g, g'⟩/‖g'‖²)·g'). At a = 0 that is ASAM, at ρ = 0 the plain gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

# Leaves the gradient of a batch in the parameters, as new tensors, and gives its loss.
Backward = Callable[[], Tensor]


def once(backward: Backward) -> Tensor:
    """The plain gradient."""
    return backward()


def gsam(network: nn.Module, backward: Backward, *, rho: float, ascent: float) -> Tensor:
    """Leave GSAM's gradient in the parameters of ``network``, for the cost of two.

    Args:
        network: its weights are moved and put back.
        backward: the same loss every time it is called.
        rho: ρ, how far the perturbation reaches, relative to each weight.
        ascent: a, how much of g's part across g' is taken away.

    Returns:
        the loss before the perturbation.
    """
    value = backward()
    moving = [parameter for parameter in network.parameters() if parameter.grad is not None]
    own, kept = _gradients(moving), [parameter.detach().clone() for parameter in moving]
    with torch.no_grad():
        for parameter, move in zip(moving, perturbation(kept, own, rho), strict=True):
            parameter.add_(move)
        with torch.enable_grad():
            backward()
        found = direction(own, _gradients(moving), ascent)
        for parameter, before, step in zip(moving, kept, found, strict=True):
            parameter.copy_(before)
            parameter.grad = step
    return value


def perturbation(weights: Sequence[Tensor], gradients: Sequence[Tensor], rho: float) -> list[Tensor]:
    """e = ρ·w²·g/‖|w|·g‖, whose length in units of each weight is ρ; 0 where the gradient vanishes."""
    length = _norm([weight * own for weight, own in zip(weights, gradients, strict=True)])
    factor = torch.where(length > 0, rho / length, 0)
    return [factor * weight.square() * own for weight, own in zip(weights, gradients, strict=True)]


def direction(own: Sequence[Tensor], moved: Sequence[Tensor], ascent: float) -> list[Tensor]:
    """g' − a·(g − (⟨g, g'⟩/‖g'‖²)·g') of g = ``own`` and g' = ``moved``, whose part along g' is g' for any a."""
    inner = torch.stack([(one * other).sum() for one, other in zip(own, moved, strict=True)]).sum()
    square = torch.stack([other.square().sum() for other in moved]).sum()
    share = torch.where(square > 0, inner / square, 0)
    return [other - ascent * (one - share * other) for one, other in zip(own, moved, strict=True)]


def _gradients(parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def _norm(values: Sequence[Tensor]) -> Tensor:
    return torch.stack([value.square().sum() for value in values]).sum().sqrt()
