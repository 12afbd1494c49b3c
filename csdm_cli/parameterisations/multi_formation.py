"""``factor``² images in the cells of each stored one (IDC), 8 bits a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from csdm_cli.images.multi_formation import decode, encode_mix
from csdm_cli.parameterisations.parameterisation import Leaves, OfShape, dequantised, quantised


@dataclass(frozen=True)
class MultiFormation(OfShape):
    """``ipc`` stored images per class, as large as decoded ones and in [0, 1]; one leaf, ``images``."""

    ipc: int
    factor: int
    kind: ClassVar[str] = "multi-formation"
    couples_classes: ClassVar[bool] = False

    @property
    def per_class(self) -> int:
        """Decoded images per class."""
        return self.ipc * self.factor**2

    def initial(self, images: Tensor) -> Leaves:
        return {"images": encode_mix(images, self.factor, self.shape.size).clone()}

    def decode(self, leaves: Leaves, first: int = 0, last: int | None = None) -> Tensor:
        last = self.shape.classes if last is None else last
        return decode(leaves["images"][first * self.ipc : last * self.ipc], self.factor, self.shape.size)

    def project(self, leaves: Leaves) -> None:
        with torch.no_grad():
            leaves["images"].clamp_(0, 1)

    def stored(self, leaves: Leaves) -> Leaves:
        return quantised(leaves, {"images": torch.uint8})

    def opened(self, stored: Leaves) -> Tensor:
        return self.decode(dequantised(stored))

    def numbers(self) -> int:
        return self.shape.classes * self.ipc * self.shape.pixels

    def bytes(self) -> int:
        return self.numbers()

    def header(self) -> dict[str, Any]:
        return {"ipc": self.ipc, "factor": self.factor}
