"""The interface of a parameterisation: learned numbers (leaves), the images they stand for, their stored form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor

from csdm_cli.errors import CsdmError
from csdm_cli.images.initial import to_uint8

# Learned tensors by name, or what is stored of them.
Leaves = dict[str, Tensor]


@dataclass(frozen=True)
class Shape:
    """The images that networks see: ``channels`` x ``size`` x ``size`` pixels, of ``classes`` classes."""

    classes: int
    channels: int
    size: int

    @property
    def pixels(self) -> int:
        """Numbers per image."""
        return self.channels * self.size**2

    def ipc_equivalent(self, stored_bytes: int) -> float:
        """The number of 8-bit images per class that have as many bytes."""
        return stored_bytes / (self.classes * self.pixels)


@dataclass(frozen=True, eq=False)
class OfShape:
    """The base of parameterisations: ``shape`` is that of the decoded images."""

    shape: Shape

    def part(self, first: int, last: int) -> Self:
        """That of the classes ``first`` … ``last``-1 alone, in the same form."""
        return replace(self, shape=replace(self.shape, classes=last - first))


class Parameterisation(Protocol):
    """Leaves and what becomes of them.

    Attributes:
        kind: its name, in settings and headers.
        couples_classes: whether a leaf belongs to several classes, which then cannot be optimised apart.
        shape: the decoded images.
        per_class: decoded images per class.
    """

    kind: ClassVar[str]
    couples_classes: ClassVar[bool]

    @property
    def shape(self) -> Shape: ...

    @property
    def per_class(self) -> int: ...

    def initial(self, images: Tensor) -> Leaves:
        """Leaves that decode to ``images`` or as near to them as can be.

        Args:
            images: (classes·per_class, channels, size, size) float in [0, 1], class after class.
        """
        ...

    def decode(self, leaves: Leaves, first: int = 0, last: int | None = None) -> Tensor:
        """Images of the classes ``first`` … ``last``-1 (by default, all): differentiable in the leaves.

        Returns:
            ((last − first)·per_class, channels, size, size), class after class; in [0, 1] only where the
            parameterisation keeps them there.
        """
        ...

    def part(self, first: int, last: int) -> Self:
        """That of the classes ``first`` … ``last``-1 alone, in the same form."""
        ...

    def project(self, leaves: Leaves) -> None:
        """Put the leaves back, in place, where they may be; called after every optimiser step."""
        ...

    def stored(self, leaves: Leaves) -> Leaves:
        """The tensors that go into the file, quantised; with whatever else decoding needs.

        Raises:
            CsdmError: if a number is not finite, or too large for its stored form.
        """
        ...

    def opened(self, stored: Leaves) -> Tensor:
        """The images that a stored set stands for: (classes·per_class, channels, size, size) float32 in [0, 1]."""
        ...

    def numbers(self) -> int:
        """Stored numbers, as the literature counts them: without masks."""
        ...

    def bytes(self) -> int:
        """Bytes of the stored tensors, everything that decoding needs included."""
        ...

    def header(self) -> dict[str, Any]:
        """JSON values from which ``stored.parameterisation_of`` makes it again, together with the stored tensors."""
        ...


def quantised(leaves: Leaves, dtypes: Mapping[str, torch.dtype]) -> Leaves:
    """Each leaf in its stored form: ``uint8`` for pixels in [0, 1] (256 levels), or a float of fewer bits.

    Raises:
        CsdmError: if a number is not finite, or too large for its stored form.
    """
    return {name: _quantised(name, value.detach(), dtypes[name]) for name, value in leaves.items()}


def _quantised(name: str, value: Tensor, dtype: torch.dtype) -> Tensor:
    if dtype is torch.uint8:
        return to_uint8(value)
    stored = value.to(dtype)
    if not bool(stored.isfinite().all()):
        raise CsdmError(f"the learned {name} hold numbers beyond {dtype}'s range or not finite: lower the run's --lr")
    return stored


def dequantised(stored: Leaves) -> Leaves:
    """Float32 leaves from what :func:`quantised` gave."""
    return {
        name: value.float() / 255 if value.dtype is torch.uint8 else value.float() for name, value in stored.items()
    }
