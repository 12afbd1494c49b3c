"""What every source hands over: labels at once, pixels only for the images that are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from csdm_cli.errors import CsdmError

DROPPED = -1


@dataclass(frozen=True)
class RawSplit:
    """A training or test set in the source's own order.

    Attributes:
        labels: (N,) int64 in [0, classes), or :data:`DROPPED` for images outside the classes in use.
        read: positions in the source's order -> (len(positions), channels, size, size) uint8.
        names: what the images' files are called, relative to the source; empty where they have no files.
    """

    labels: Tensor
    read: Callable[[Sequence[int]], Tensor]
    names: Sequence[str] = ()

    def positions(self, label: int) -> Tensor:
        """(n,) int64: where the images of one class stand, in the source's order."""
        return torch.nonzero(self.labels == label).flatten()

    def counts(self, classes: int) -> tuple[int, ...]:
        """Images per class."""
        return tuple(torch.bincount(self.labels[self.labels != DROPPED], minlength=classes).tolist())


@dataclass(frozen=True)
class RawDataset:
    """A source before any image is chosen from it.

    Attributes:
        train, test: its two sets; the test set is never touched. None where the source has no test set.
        class_names: in label order.
        channels, size: of what ``read`` gives.
        jpeg: whether the images are JPEG-coded; None if unknown.
        origin: kind of source, for the manifest.
        fingerprint: hash of the source: of its files' contents, or of names and sizes for image folders.
        remarks: what the user should know of how it was read, a line each.
    """

    train: RawSplit
    test: RawSplit | None
    class_names: tuple[str, ...]
    channels: int
    size: int
    jpeg: bool | None
    origin: str
    fingerprint: str
    remarks: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


def keep_classes(raw: RawDataset, labels: Sequence[int], names: Sequence[str]) -> RawDataset:
    """The dataset with only the classes ``labels``, which become 0, 1, ... and are called ``names``."""
    lookup = torch.full((raw.classes,), DROPPED, dtype=torch.int64)
    lookup[torch.tensor(labels)] = torch.arange(len(labels))

    def relabelled(split: RawSplit) -> RawSplit:
        dropped = split.labels == DROPPED
        return replace(split, labels=torch.where(dropped, DROPPED, lookup[split.labels.clamp(min=0)]))

    test = relabelled(raw.test) if raw.test else None
    return replace(raw, train=relabelled(raw.train), test=test, class_names=tuple(names))


def check(raw: RawDataset, name: str) -> RawDataset:
    """Return ``raw`` if every class has training images, and test images where there is a test set.

    Raises:
        CsdmError: naming the first class that has none.
    """
    for kind, split in (("training", raw.train), ("test", raw.test)):
        if split is None:
            continue
        for label, count in enumerate(split.counts(raw.classes)):
            if not count:
                raise CsdmError(f"{name}: class {raw.class_names[label]!r} has no {kind} images")
    return raw
