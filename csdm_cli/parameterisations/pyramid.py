"""Images as a sum over scales in decorrelated colours, under a sigmoid.

Linear gradient matching (Cazenavette et al. 2025) learns x = σ(2·K·Σ_l up(level_l)) with levels of 1, 2, 4, … pixels a
side, up bilinear, and K the square root of natural colours' correlation divided by its largest column norm (Olah et
al. 2017, "Feature Visualization"). It smooths the path of the optimiser rather than what is stored: the set is stored
as its pixels, 8 bits each, and the levels are forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from csdm_cli.parameterisations.parameterisation import Leaves, OfShape, dequantised, quantised

COLOUR_ROOT = ((0.26, 0.09, 0.02), (0.27, 0.0, -0.05), (0.27, -0.09, 0.03))
GAIN = 2.0
LEAST = 1 / 1024  # the darkest start: a logit must be finite, and this still rounds to 0 of 255


@dataclass(frozen=True)
class Pyramid(OfShape):
    """``per_class`` images per class; leaves ``level_1``, ``level_2``, ``level_4`` … ``level_{size}``.

    A level of side s is (classes·per_class, channels, s, s). Levels that are not among the leaves count as 0.
    """

    per_class: int
    kind: ClassVar[str] = "pyramid"
    couples_classes: ClassVar[bool] = False

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides of all levels: powers of 2 below the image's size, and that size."""
        return (*(1 << power for power in range((self.shape.size - 1).bit_length())), self.shape.size)

    def initial(self, images: Tensor) -> Leaves:
        rest = _recoloured(images.clamp(LEAST, 1 - LEAST).logit() / GAIN, inverse=True)
        leaves = {}
        for side in self.sides[:-1]:
            level = adaptive_avg_pool2d(rest, side)
            leaves[_name(side)] = level
            rest = rest - self._enlarged(level)
        return leaves | {_name(self.shape.size): rest}

    def decode(self, leaves: Leaves, first: int = 0, last: int | None = None) -> Tensor:
        last = self.shape.classes if last is None else last
        own = slice(first * self.per_class, last * self.per_class)
        levels = [self._enlarged(leaves[_name(side)][own]) for side in self.sides if _name(side) in leaves]
        return (GAIN * _recoloured(torch.stack(levels).sum(0))).sigmoid()

    def project(self, leaves: Leaves) -> None:
        """Any levels will do."""

    def stored(self, leaves: Leaves) -> Leaves:
        return quantised({"images": self.decode(leaves)}, {"images": torch.uint8})

    def opened(self, stored: Leaves) -> Tensor:
        return dequantised(stored)["images"]

    def numbers(self) -> int:
        return self.shape.classes * self.per_class * self.shape.pixels

    def bytes(self) -> int:
        return self.numbers()

    def header(self) -> dict[str, Any]:
        return {"per_class": self.per_class}

    def _enlarged(self, level: Tensor) -> Tensor:
        if level.shape[-1] == self.shape.size:
            return level
        return interpolate(level, size=(self.shape.size,) * 2, mode="bilinear", align_corners=False)


def _recoloured(images: Tensor, *, inverse: bool = False) -> Tensor:
    """Colours (N, 3, H, W) from decorrelated ones, or the way back; grey images as they are."""
    if images.shape[1] != 3:
        return images
    root = torch.tensor(COLOUR_ROOT, dtype=torch.float64)
    matrix = root / root.norm(dim=0).max()
    matrix = (matrix.inverse() if inverse else matrix).to(images)
    return torch.einsum("dc,nchw->ndhw", matrix, images)


def _name(side: int) -> str:
    return f"level_{side}"
