"""The form in which every source hands over: labels at once, pixels only of the images that are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from csdm_cli.errors import CsdmError
from csdm_cli.safe_text import shown

DROPPED = -1


@dataclass(frozen=True)
class RawSplit:
    """A training or test set in the source's own order.

    Attributes:
        labels: (N,) int64 in [0, classes), or :data:`DROPPED` for images outside the classes in use.
        read: positions in the source's order -> (len(positions), channels, size, size) uint8.
        names: the images' paths below the source; empty where they have no files.
    """

    labels: Tensor
    read: Callable[[Sequence[int]], Tensor]
    names: Sequence[str] = ()

    def positions(self, label: int) -> Tensor:
        """(n,) int64: where the images of one class stand, in the source's order."""
        return torch.nonzero(self.labels == label).flatten()

    def by_class(self, classes: int) -> tuple[Tensor, ...]:
        """:meth:`positions` of every class."""
        return tuple(self.positions(label) for label in range(classes))

    def counts(self, classes: int) -> tuple[int, ...]:
        """Images per class."""
        return tuple(torch.bincount(self.labels[self.labels != DROPPED], minlength=classes).tolist())


@dataclass(frozen=True)
class RawDataset:
    """A source before any image is chosen from it.

    Attributes:
        train, test: its two sets; the test set is never touched. None where the source has no test set.
        class_names: in label order.
        channels, size: number of channels of what ``read`` gives.
        jpeg: whether the images are JPEG-coded; None if unknown.
        origin: kind of source, for the manifest.
        fingerprint: hash of the source: of its files' contents, or of names and sizes for image folders.
        remarks: remarks to the user on how it was read, a line each.
        modified: when the newest of its files was, in seconds since the epoch; 0 where the fingerprint tells all.
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
    modified: float = 0

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


def check(raw: RawDataset, name: str, *, untested: bool = False) -> RawDataset:
    """Return ``raw`` if every class has training images, and test images where there is a test set.

    Args:
        raw: the dataset.
        name: its name, for messages.
        untested: whether classes without test images are remarked on instead, as long as others have some.

    Raises:
        CsdmError: naming the first class that has none.
    """
    _refuse_empty(raw, raw.train, f"{name}: class {{}} has no training images: leave it out with --classes")
    if raw.test is None:
        return raw
    if not untested or not sum(raw.test.counts(raw.classes)):
        _refuse_empty(raw, raw.test, f"{name}: class {{}} has no test images")
    return replace(raw, remarks=raw.remarks + untested_classes(raw))


def untested_classes(raw: RawDataset) -> tuple[str, ...]:
    """A remark on the classes that have no test images; nothing if all have some."""
    counts = raw.test.counts(raw.classes) if raw.test else ()
    without = [repr(name) for name, count in zip(raw.class_names, counts, strict=False) if not count]
    if not without:
        return ()
    named = shown(", ".join(without), most=120)
    has, are = ("has", "it is") if len(without) == 1 else ("have", "they are")
    return (f"{len(without)} of {raw.classes} classes {has} no test images, so {are} trained on but untested: {named}",)


def _refuse_empty(raw: RawDataset, split: RawSplit, message: str) -> None:
    for label, count in enumerate(split.counts(raw.classes)):
        if not count:
            raise CsdmError(message.format(shown(repr(raw.class_names[label]))))
