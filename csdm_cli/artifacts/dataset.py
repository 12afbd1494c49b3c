"""A distilled set as networks are trained on it: decoded, normalised, with hard or soft labels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

from csdm_cli.artifacts.distilled import Distilled
from csdm_cli.names import LabelKind, StoredLabels


class DistilledDataset(Dataset[tuple[Tensor, Tensor]]):
    """The training images of a distilled set, one after another.

    Attributes:
        images: (N·factor², channels, size, size) float32; normalised by the set's mean and deviation unless told.
        targets: (N·factor²,) int64 classes, or (N·factor², classes) float32 probabilities of soft labels.
        class_names: in label order.

    Raises:
        CsdmError: if soft labels are asked for and the set has none.
    """

    def __init__(self, distilled: Distilled, labels: StoredLabels | None = None, *, normalised: bool = True) -> None:
        kind = LabelKind(labels or distilled.default_labels)
        info = distilled.dataset
        self.class_names = info.class_names
        self.images = distilled.decoded()
        if normalised:
            mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (info.mean, info.std))
            self.images = (self.images - mean) / std
        self.targets = distilled.decoded_labels() if kind is LabelKind.hard else distilled.targets(kind)

    def __len__(self) -> int:
        """Decoded images, factor² for each stored one."""
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Image (channels, size, size) and its target, a class or probabilities (classes,)."""
        return self.images[index], self.targets[index]
