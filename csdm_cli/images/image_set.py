"""Images in memory: uint8, sorted by class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor

from csdm_cli.storage.tensorfile import tensor_sha256


@dataclass(frozen=True)
class ImageSet:
    """A labelled image set whose images lie class after class.

    Attributes:
        images: (N, channels, height, width) uint8, on any device.
        counts: images per class; their sum is N.
        class_names: one name per class.
        mean, std: per channel, of pixels in [0, 1]: the normalisation networks expect.
    """

    images: Tensor
    counts: tuple[int, ...]
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        assert self.images.dtype == torch.uint8 and self.images.ndim == 4
        assert sum(self.counts) == len(self.images) and len(self.counts) == len(self.class_names)
        assert len(self.mean) == len(self.std) == self.images.shape[1]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.counts)

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return self.images.shape[1]

    @property
    def size(self) -> int:
        """Height and width, which are equal."""
        return self.images.shape[2]

    @property
    def offsets(self) -> tuple[int, ...]:
        """Start of each class, and N at the end: (classes + 1) positions."""
        return (0, *accumulate(self.counts))

    @property
    def labels(self) -> Tensor:
        """(N,) int64, on the images' device."""
        counts = torch.tensor(self.counts, device=self.images.device)
        return torch.repeat_interleave(torch.arange(self.classes, device=self.images.device), counts)

    def of_class(self, label: int) -> Tensor:
        """The images of one class, without copying."""
        return self.images[self.offsets[label] : self.offsets[label + 1]]

    def to(self, device: torch.device | str) -> ImageSet:
        """The same set with its images on ``device``."""
        return replace(self, images=self.images.to(device))

    def fingerprint(self) -> str:
        """Hash of pixels and class sizes: equal for equal data, wherever they came from."""
        return tensor_sha256(self.images)[:32] + tensor_sha256(torch.tensor(self.counts))[:32]
