"""When two training gradients are near: pure functions of named gradients, summed over their tensors.

A tensor's rows are its slices along the first axis: the weights of one output. Tensors of one axis (biases, the scale
and shift of a normalisation) count nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

Gradients = Mapping[str, Tensor]
# Of the real and the synthetic images' gradients: a scalar, differentiable in the second.
Distance = Callable[[Gradients, Gradients], Tensor]

RELEASED_EPSILON = 1e-6  # of DC's code, added to a product of norms
# Rows whose norms have a product below this part of that of their tensor's mean norms say nothing of a direction.
LEAST_ROW = 1e-8


def row_cosine(real: Gradients, synthetic: Gradients) -> Tensor:
    """Σ over tensors and rows of 1 − cos(real row, synthetic row), blind to any positive factor of a row.

    DC's distance (Zhao et al. 2021, "Dataset Condensation with Gradient Matching", equation 9) without its code's ε,
    which makes the distance of small gradients from themselves as large as that of unlike ones. A row that is zero
    on either side, compared with the other rows of its tensor, costs 1 and has no derivative.

    Args:
        real, synthetic: gradients of the same names and shapes.

    Returns:
        A scalar between 0 and twice the rows.
    """
    return _sum(_row_cosine(g, h) for g, h in _pairs(real, synthetic, axes=2))


def released_row_cosine(real: Gradients, synthetic: Gradients, eps: float = RELEASED_EPSILON) -> Tensor:
    """:func:`row_cosine` as DC's code has it: 1 − ⟨g, h⟩/(‖g‖‖h‖ + ε). A row g is ε/(‖g‖² + ε) away from itself."""
    return _sum(
        (1 - (g * h).sum(1) / (g.norm(dim=1) * h.norm(dim=1) + eps)).sum() for g, h in _pairs(real, synthetic, axes=2)
    )


def squared(real: Gradients, synthetic: Gradients) -> Tensor:
    """Σ over convolutions' weights of ‖real − synthetic‖², IDC's distance for small images.

    Kim et al. 2022, "Dataset Condensation via Efficient Synthetic-Data Parameterization": the last, linear layer is
    left out, as its code does. A factor f of both gradients is a factor f² of the distance.
    """
    return _sum((g - h).square().sum() for g, h in _pairs(real, synthetic, axes=3))


def absolute(real: Gradients, synthetic: Gradients) -> Tensor:
    """Σ over convolutions' weights of ‖real − synthetic‖₁, IDC's distance for ImageNet and digits."""
    return _sum((g - h).abs().sum() for g, h in _pairs(real, synthetic, axes=3))


def relative(distance: Distance) -> Distance:
    """``distance`` over that of the real gradient from zero, at least a tiny number: 1 of a gradient that is zero."""

    def divided(real: Gradients, synthetic: Gradients) -> Tensor:
        whole = distance(real, {name: torch.zeros_like(g) for name, g in real.items()})
        return distance(real, synthetic) / whole.clamp_min(torch.finfo(whole.dtype).tiny)

    return divided


def _row_cosine(g: Tensor, h: Tensor) -> Tensor:
    """Σ over rows of 1 − cos: (rows, n), (rows, n) -> a scalar."""
    norms, product = (g.norm(dim=1), h.detach().norm(dim=1)), g.norm(dim=1) * h.norm(dim=1)
    tells = ~(product.detach() <= LEAST_ROW * norms[0].mean() * norms[1].mean())  # so that a NaN is not a zero
    cosine = (g * h).sum(1) / torch.where(tells, product, torch.ones_like(product))
    return torch.where(tells, 1 - cosine, torch.ones_like(cosine)).sum()


def _pairs(real: Gradients, synthetic: Gradients, axes: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Tensors of at least ``axes`` axes, two or more, as rows."""
    assert real.keys() == synthetic.keys()
    for name, g in real.items():
        h = synthetic[name]
        assert g.shape == h.shape
        if g.ndim >= axes:
            yield g.detach().flatten(1), h.flatten(1)


def _sum(parts: Iterator[Tensor]) -> Tensor:
    return torch.stack(list(parts)).sum()
