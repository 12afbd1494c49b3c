"""The images themselves, 8 bits a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from csdm_cli.parameterisations.parameterisation import Leaves, OfShape, dequantised, quantised


@dataclass(frozen=True)
class Pixels(OfShape):
    """``per_class`` images per class, in [0, 1]; one leaf, ``images``."""

    per_class: int
    kind: ClassVar[str] = "pixels"
    couples_classes: ClassVar[bool] = False

    def initial(self, images: Tensor) -> Leaves:
        return {"images": images.clone()}

    def decode(self, leaves: Leaves, first: int = 0, last: int | None = None) -> Tensor:
        last = self.shape.classes if last is None else last
        return leaves["images"][first * self.per_class : last * self.per_class]

    def project(self, leaves: Leaves) -> None:
        with torch.no_grad():
            leaves["images"].clamp_(0, 1)

    def stored(self, leaves: Leaves) -> Leaves:
        return quantised(leaves, {"images": torch.uint8})

    def opened(self, stored: Leaves) -> Tensor:
        return self.decode(dequantised(stored))

    def numbers(self) -> int:
        return self.shape.classes * self.per_class * self.shape.pixels

    def bytes(self) -> int:
        return self.numbers()

    def header(self) -> dict[str, Any]:
        return {"per_class": self.per_class}
