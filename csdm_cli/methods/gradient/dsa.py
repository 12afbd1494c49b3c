"""DSA: gradient matching with differentiable siamese augmentation (Zhao and Bilen, ICML 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from csdm_cli.images.augment import Theta
from csdm_cli.methods.gradient.base import one_draw_per_class
from csdm_cli.methods.gradient.dc import Dc, DcParameters
from csdm_cli.names import AugmentMode


@dataclass(frozen=True, kw_only=True)
class DsaParameters(DcParameters):
    """Options of dsa."""

    augment: str
    augment_mode: AugmentMode


class Dsa(Dc):
    """DC's distance of gradients of augmented images: one draw per class and step, for real and synthetic alike.

    The network's own batches are augmented by the same operations, every image by a draw of its own (section 3.2).
    """

    Parameters = DsaParameters
    parameters: DsaParameters
    summary = "gradient matching under one augmentation of real and synthetic images"
    source = "Zhao and Bilen, ICML 2021, arXiv 2102.08259"

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """DC's rounds, from real images."""
        distill = super().paper(ipc)["distill"]
        return {"distill": {**distill, "initial": "real"}}

    @property
    def network_augmentation(self) -> tuple[str, str]:
        return self.parameters.augment, self.parameters.augment_mode

    def augmentation(self, step: int, classes: int) -> Theta | None:
        operations, mode = self.parameters.augment, self.parameters.augment_mode
        return one_draw_per_class(self.context.seed, step, classes, operations, mode)
