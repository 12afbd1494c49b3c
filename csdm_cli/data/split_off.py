"""A test set drawn from the images of a source that has none of its own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import torch

from csdm_cli import seeds
from csdm_cli.data.sources.raw import DROPPED, RawDataset, untested_classes
from csdm_cli.errors import UsageError
from csdm_cli.safe_text import shown


@dataclass(frozen=True)
class Share:
    """How many images of each class are held out, and which stay together.

    Attributes:
        share: part of each class, in (0, 1); or None.
        per_class: images of each class; or None.
        group_by: regular expression on file names; images with the same match (of its first group, if it has one)
            stay together. None: every image for itself.
        seed: seed of the draw.
    """

    share: float | None
    per_class: int | None
    group_by: str | None
    seed: int

    def wanted(self, have: int) -> int:
        """Test images of a class of ``have``: at least one if two are there, and never all."""
        asked = round(have * self.share) if self.share is not None else self.per_class or 0
        return min(max(asked, 1), have - 1)


def split_off(raw: RawDataset, share: Share) -> RawDataset:
    """The dataset with a test set drawn from its training set: stratified, disjoint, and by the seed.

    Groups go to one side whole. Small classes choose first, so that a group that spans classes serves the rare one.
    A class that would be left without training images gives none: it stays untested, with a remark.

    Raises:
        UsageError: if no class can give any, or file names do not fit ``group_by``.
    """
    pool = _Pool(raw.train.labels.tolist(), _groups(raw, share.group_by))
    by_class = [raw.train.positions(label) for label in range(raw.classes)]
    for label in sorted(range(raw.classes), key=lambda label: (len(by_class[label]), label)):
        own = by_class[label]
        order = own[torch.randperm(len(own), generator=seeds.generator(share.seed, "test", label))].tolist()
        groups = list(dict.fromkeys(pool.group_of[position] for position in order))
        pool.hold_out(label, groups, share.wanted(len(own)))
    if not pool.chosen:
        raise UsageError("no image can be held out for the test set without leaving a class empty: add images")
    in_test = torch.tensor([group in pool.chosen for group in pool.group_of])
    halves = replace(
        raw,
        train=replace(raw.train, labels=torch.where(in_test, DROPPED, raw.train.labels)),
        test=replace(raw.train, labels=torch.where(in_test, raw.train.labels, DROPPED)),
    )
    return replace(halves, remarks=raw.remarks + untested_classes(halves))


class _Pool:
    """Groups of images, and which of them are held out so far."""

    def __init__(self, labels: Sequence[int], group_of: Sequence[Hashable]) -> None:
        self.group_of = group_of
        self.sizes: dict[Hashable, Counter[int]] = {}  # group -> label -> images
        for label, group in zip(labels, group_of, strict=True):
            if label != DROPPED:
                self.sizes.setdefault(group, Counter())[label] += 1
        self.left = Counter(label for label in labels if label != DROPPED)
        self.held: Counter[int] = Counter()
        self.chosen: set[Hashable] = set()

    def hold_out(self, label: int, groups: Sequence[Hashable], wanted: int) -> None:
        """Hold out groups of a class, in this order, as long as they fit; the smallest if none does."""
        for group in groups:
            if self.held[label] + self.sizes[group][label] <= wanted:
                self._choose(group)
        if not self.held[label]:
            for group in sorted(groups, key=lambda group: self.sizes[group][label]):
                if not self.held[label]:
                    self._choose(group)

    def _choose(self, group: Hashable) -> None:
        """Hold the group out, unless it is already or would leave a class without training images."""
        own = self.sizes[group]
        if group not in self.chosen and all(self.left[label] > count for label, count in own.items()):
            self.chosen.add(group)
            self.left -= own
            self.held += own


def _groups(raw: RawDataset, pattern: str | None) -> Sequence[Hashable]:
    """The group of every training image; its position where every image stands for itself."""
    if pattern is None:
        return range(len(raw.train.labels))
    if not raw.train.names:
        raise UsageError(f"--group-by goes by file names, but the images of this source ({raw.origin}) have none")
    found: list[Hashable] = []
    for name in raw.train.names:
        match = re.search(pattern, name)
        if match is None:
            raise UsageError(f"--group-by {shown(pattern)} does not match {shown(name)}")
        found.append(match[1] if match.re.groups and match[1] is not None else match[0])
    return found
