"""Labels given while students learn: what teachers say of every image just as the student sees it.

Every batch is labelled after it was augmented and mixed, so that a student meets a fresh target in every step (Shen and
Xing 2022, "A fast knowledge distillation framework for visual recognition", without its storage; RDED's relabelling).
The teachers then belong to what must be stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from csdm_cli.networks.network import Network


@dataclass(frozen=True)
class Labeller:
    """Teachers whose mean probabilities are a batch's targets.

    Attributes:
        networks: frozen, in evaluation mode, on the students' device.
        key: changes with any weight of theirs.
        made: description of their pool, as JSON values.
    """

    networks: tuple[Network, ...]
    key: str
    made: Mapping[str, Any]

    @property
    def stored(self) -> list[Tensor]:
        """All weights and buffers, which must be kept to label as they do."""
        return [tensor for network in self.networks for tensor in network.state_dict().values()]

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """The mean over the teachers of softmax(f): (n, classes), of normalised images (n, C, H, W)."""
        return torch.stack([network(images).softmax(1) for network in self.networks]).mean(0)
