"""x·yᵀ, by the fastest product of float32 matrices that PyTorch has on this processor.

On CPUs ``@`` is MKL's, which on AMD reaches half the rate of oneDNN's (215 against 97 GFLOP/s on a core of an EPYC with
AVX-512, at 400 x 2048 x 1024). PyTorch has the latter only as the operator its compiler uses, without a gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# With fewer rows the time goes into reading the other matrix, whoever multiplies.
FEWEST_ROWS = 8


def product(left: Tensor, right: Tensor) -> Tensor:
    """``left`` (n, D) times the transpose of ``right`` (K, D): (n, K), differentiable in both, any number of times."""
    if not _has_onednn(left, right):
        return left @ right.T
    result: Tensor = _OneDnnProduct.apply(left, right)
    return result


def _has_onednn(left: Tensor, right: Tensor) -> bool:
    """Whether oneDNN can be asked for this product."""
    plain = all(value.device.type == "cpu" and value.dtype == torch.float32 for value in (left, right))
    large = min(len(left), *right.shape) >= FEWEST_ROWS
    return plain and large and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


class _OneDnnProduct(torch.autograd.Function):
    """Its gradients are such products again."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        ctx.save_for_backward(left, right)
        result: Tensor = torch.ops.mkldnn._linear_pointwise(_dense(left), _dense(right), None, "none", [], "")
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (gradient,), (left, right) = gradients, ctx.saved_tensors
        return (
            product(gradient, right.T) if ctx.needs_input_grad[0] else None,
            product(gradient.T, left.T) if ctx.needs_input_grad[1] else None,
        )


def _dense(matrix: Tensor) -> Tensor:
    """Row after row or column after column, as it is; anything else copied."""
    return matrix if matrix.is_contiguous() or matrix.T.is_contiguous() else matrix.contiguous()
