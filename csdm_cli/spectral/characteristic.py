"""Empirical characteristic functions (ECF) of classes: φ_c(ω) = mean_j exp(i ω·f_j)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from csdm_cli.device import to_device
from csdm_cli.spectral.product import product

EPSILON = 1e-12
"""Keeps |φ| = √(re² + im² + ε) differentiable at 0; far below float32's rounding of a |φ|² of 1."""


@dataclass(frozen=True)
class Ecf:
    """Characteristic functions of C classes at K frequencies.

    Attributes:
        re: real part, shape (C, K).
        im: imaginary part, shape (C, K).
    """

    re: Tensor
    im: Tensor

    def amplitude(self, eps: float = EPSILON) -> Tensor:
        """|φ| = √(re² + im² + ε), shape (C, K): finite gradient everywhere."""
        return (self.re.square() + self.im.square() + eps).sqrt()


def ecf(features: Tensor, frequencies: Tensor, counts: Sequence[int]) -> Ecf:
    """The characteristic function of every class, differentiable in features and frequencies.

    Args:
        features: rows sorted by class, shape (N, D).
        frequencies: shape (K, D).
        counts: images per class, summing to N. Equal counts take a faster path to the same values.

    Returns:
        An :class:`Ecf` of shape (C, K), in float32, or in float64 if an argument is.

    Raises:
        ValueError: if the counts do not sum to N, or a class is empty.
    """
    if sum(counts) != len(features) or min(counts) < 1:
        raise ValueError(f"class counts {list(counts)} do not divide {len(features)} features into non-empty classes")
    projection = project(features, frequencies)
    return Ecf(_class_means(projection.cos(), counts), _class_means(projection.sin(), counts))


def project(features: Tensor, frequencies: Tensor) -> Tensor:
    """ω·f for every pair, shape (N, K): float32 at least, whatever autocast and TF32 settings surround it.

    An error in ω·f is an error in the angle: bfloat16 would leave no digit at the frequencies that matter.
    """
    dtype = torch.promote_types(torch.promote_types(features.dtype, frequencies.dtype), torch.float32)
    with _full_precision(features.device.type):
        return product(features.to(dtype), frequencies.to(dtype))


class EcfSum:
    """Characteristic functions of classes whose features arrive in pieces, in any order.

    Sums are kept in float64, so that the pieces' sizes do not show in the result. No gradients.
    """

    def __init__(self, frequencies: Tensor, classes: int) -> None:
        """Starts at zero for ``classes`` classes at ``frequencies`` (K, D)."""
        self._frequencies = frequencies
        shape = (classes, len(frequencies))
        self._re = torch.zeros(shape, dtype=torch.float64, device=frequencies.device)
        self._im = torch.zeros_like(self._re)
        self._counts = [0] * classes
        self._dtype = torch.promote_types(frequencies.dtype, torch.float32)

    @torch.no_grad()
    def add(self, features: Tensor, label: int) -> None:
        """Adds features (n, D) of class ``label``."""
        projection = project(features, self._frequencies)
        self._re[label] += projection.cos().sum(0, dtype=torch.float64)
        self._im[label] += projection.sin().sum(0, dtype=torch.float64)
        self._counts[label] += len(features)
        self._dtype = torch.promote_types(self._dtype, projection.dtype)

    def result(self) -> Ecf:
        """The characteristic functions of everything added so far, shape (C, K).

        Raises:
            ValueError: if a class has received no features.
        """
        if 0 in self._counts:
            raise ValueError(f"class {self._counts.index(0)} has no features")
        counts = to_device(torch.tensor(self._counts, dtype=torch.float64), self._re.device)[:, None]
        return Ecf((self._re / counts).to(self._dtype), (self._im / counts).to(self._dtype))


def _class_means(values: Tensor, counts: Sequence[int]) -> Tensor:
    """Mean of each class's rows: (N, K) to (C, K)."""
    if len(set(counts)) == 1:
        return values.view(len(counts), counts[0], -1).mean(1)
    return torch.stack([part.mean(0) for part in torch.split(values, list(counts))])


@contextmanager
def _full_precision(device_type: str) -> Iterator[None]:
    """Inside, no autocast and no TF32 or bfloat16 in float32 products; afterwards, as it was before."""
    before = torch.get_float32_matmul_precision()
    if before != "highest":
        torch.set_float32_matmul_precision("highest")
    can_autocast = torch.amp.is_autocast_available(device_type)
    try:
        with torch.autocast(device_type, enabled=False) if can_autocast else nullcontext():
            yield
    finally:
        if before != "highest":
            torch.set_float32_matmul_precision(before)
