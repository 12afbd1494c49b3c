"""The few cosine coefficients in which a class's images vary most (FreD).

Shin et al. 2023, "Frequency Domain-based Dataset Distillation": images are learned as coefficients of their discrete
cosine transform, of which each class keeps the k with the largest explained variance, the same for all its images
and channels. Three departures: the transform is orthonormal here, so that rates and gradients are those of pixels;
the variance is that of the whole real class instead of the few images that the set starts from, and a class of few
images borrows from the others; equal variances go to the lower frequency. And a departure by rule: the mean of an
image is always kept, for a class that is always as bright as another varies little in it and is black without.

Masked coefficients are not there at all: no rate or momentum can move them. Coefficients are never clamped, for that
would not keep the decoded pixels within [0, 1]; the opened set is clamped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from csdm_cli.parameterisations.parameterisation import Leaves, OfShape, Shape, dequantised, quantised

# A class's explained variances count as those of so many images of a typical class beside its own.
PRIOR_IMAGES = 64


@dataclass(frozen=True, eq=False)
class Frequency(OfShape):
    """``per_class`` images per class, each of ``kept`` coefficients per channel; one leaf, ``coefficients``.

    The leaf has the shape (classes·per_class, channels, kept), in the order of the mask's positions, row by row. It is
    stored in 16-bit floats, the masks beside it at a bit per position and class.

    Attributes:
        masks: (classes, size, size) bool: which coefficients each class keeps, equally many in all.
    """

    per_class: int
    masks: Tensor
    kind: ClassVar[str] = "frequency"
    couples_classes: ClassVar[bool] = False

    @property
    def kept(self) -> int:
        """k, coefficients per image and channel."""
        return int(self.masks[0].sum())

    def initial(self, images: Tensor) -> Leaves:
        grid = dct(images).unflatten(0, (self.shape.classes, self.per_class)).flatten(3)
        return {"coefficients": grid.gather(3, self._positions(grid, 0, self.shape.classes)).flatten(0, 1)}

    def decode(self, leaves: Leaves, first: int = 0, last: int | None = None) -> Tensor:
        last = self.shape.classes if last is None else last
        own = leaves["coefficients"][first * self.per_class : last * self.per_class]
        own = own.unflatten(0, (last - first, self.per_class))
        side = self.shape.size
        empty = own.new_zeros(*own.shape[:3], side**2)
        grid = empty.scatter(3, self._positions(own, first, last), own)
        return inverse_dct(grid.unflatten(3, (side, side)).flatten(0, 1))

    def part(self, first: int, last: int) -> Self:
        return replace(self, shape=replace(self.shape, classes=last - first), masks=self.masks[first:last])

    def project(self, leaves: Leaves) -> None:
        """Any coefficients will do."""

    def stored(self, leaves: Leaves) -> Leaves:
        packed = torch.from_numpy(np.packbits(self.masks.flatten(1).cpu().numpy(), axis=1))
        return quantised(leaves, {"coefficients": torch.float16}) | {"masks": packed}

    def opened(self, stored: Leaves) -> Tensor:
        return self.decode(dequantised({"coefficients": stored["coefficients"]})).clamp(0, 1)

    def numbers(self) -> int:
        return self.shape.classes * self.per_class * self.shape.channels * self.kept

    def bytes(self) -> int:
        return self.numbers() * torch.float16.itemsize + self.shape.classes * _mask_bytes(self.shape)

    def header(self) -> dict[str, Any]:
        return {"per_class": self.per_class, "kept": self.kept}

    def _positions(self, like: Tensor, first: int, last: int) -> Tensor:
        """The positions of each class's coefficients in a flat grid: (classes, per_class, channels, kept), a view."""
        places = self.masks[first:last].flatten(1).nonzero()[:, 1].view(last - first, 1, 1, self.kept)
        return places.to(like.device).expand(-1, self.per_class, self.shape.channels, -1)


def unpacked(packed: Tensor, shape: Shape) -> Tensor:
    """Masks (classes, size, size) bool from their stored bits."""
    bits = np.unpackbits(packed.numpy(), axis=1, count=shape.size**2)
    return torch.from_numpy(bits.astype(bool)).view(shape.classes, shape.size, shape.size)


def images_of_bytes(budget: int, kept: int, shape: Shape) -> int:
    """Images per class in ``budget`` bytes of the whole set, masks included; 0 where not even one fits."""
    left = budget // shape.classes - _mask_bytes(shape)
    return max(0, left // (torch.float16.itemsize * shape.channels * kept))


def kept_of_bytes(budget: int, images: int, shape: Shape) -> int:
    """The most coefficients per channel with which ``images`` per class fit into ``budget`` bytes; 0 where none do."""
    left = budget // shape.classes - _mask_bytes(shape)
    return min(shape.size**2, max(0, left // (torch.float16.itemsize * shape.channels * images)))


def class_masks(classes: Sequence[Tensor], kept: int, prior_images: float = PRIOR_IMAGES) -> Tensor:
    """The coefficients that each class keeps: (classes, size, size) bool, ``kept`` True in each, (0, 0) among them.

    Args:
        classes: the real images of each class, (n_c, channels, size, size) floats.
        kept: k.
        prior_images: how many images the mean of all classes' explained variances counts as. A class of one image,
            which has no variance, gets that mean.
    """
    size = classes[0].shape[-1]
    assert 1 <= kept <= size**2
    own = torch.stack([explained_variance(images) for images in classes])
    counts = torch.tensor([len(images) for images in classes], dtype=own.dtype).view(-1, 1, 1)
    freedom = (counts - 1).clamp(min=0)
    common = (freedom * own).sum(0) / freedom.sum().clamp(min=1)
    shrunk = (freedom * own + prior_images * common) / (freedom + prior_images).clamp(min=1e-12)
    shrunk[:, 0, 0] = torch.inf  # the mean of an image is always kept
    # Sorted stably from the lowest frequency up, equal variances keep that order.
    order = _low_first(size)
    best = order[shrunk.flatten(1)[:, order].argsort(dim=1, descending=True, stable=True)[:, :kept]]
    masks = torch.zeros(len(classes), size**2, dtype=torch.bool)
    return masks.scatter(1, best, True).view(-1, size, size)


def explained_variance(images: Tensor) -> Tensor:
    """Each coefficient's part of the images' variance, the channels' mean taken first: (size, size) float64.

    The parts sum to 1; all are 0 for equal images or a single one.

    Args:
        images: (n, channels, size, size) floats.
    """
    variance = dct(images.double().cpu().mean(1)).var(0, correction=0)
    total = variance.sum()
    noise = torch.finfo(torch.float64).eps * variance.numel()
    return torch.zeros_like(variance) if total <= noise else variance / total


def dct(images: Tensor) -> Tensor:
    """Orthonormal cosine coefficients of (…, H, H) images: of the rows' and the columns' frequencies, (…, H, H)."""
    basis = dct_matrix(images.shape[-1]).to(images)
    return basis @ images @ basis.T


def inverse_dct(coefficients: Tensor) -> Tensor:
    """Images (…, H, H) of their orthonormal cosine coefficients."""
    basis = dct_matrix(coefficients.shape[-1]).to(coefficients)
    return basis.T @ coefficients @ basis


@lru_cache(maxsize=8)
def dct_matrix(size: int) -> Tensor:
    """The orthonormal DCT-II as a matrix (frequency, position): √(2/N)·cos(π(2n+1)k/2N), the first row √(1/N)."""
    k, n = torch.arange(size, dtype=torch.float64)[:, None], torch.arange(size, dtype=torch.float64)[None]
    matrix = (math.pi * (2 * n + 1) * k / (2 * size)).cos() * math.sqrt(2 / size)
    matrix[0] = math.sqrt(1 / size)
    return matrix


def _low_first(size: int) -> Tensor:
    """Flat positions of a (size, size) grid of coefficients, by rising sum of both frequencies."""
    k = torch.arange(size)
    return (k[:, None] + k[None]).flatten().argsort(stable=True)


def _mask_bytes(shape: Shape) -> int:
    return -(-(shape.size**2) // 8)
