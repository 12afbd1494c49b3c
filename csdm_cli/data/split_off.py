"""A test set drawn from the images of a source that has none of its own."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import torch

from csdm_cli import seeds
from csdm_cli.data.groups import Groups
from csdm_cli.data.sources.raw import DROPPED, RawDataset, untested_classes
from csdm_cli.errors import UsageError
from csdm_cli.safe_text import counted


@dataclass(frozen=True)
class Share:
    """How many images of each class are held out, and which stay together.

    Attributes:
        share: part of each class, in (0, 1); or None.
        per_class: images of each class; or None.
        group_by: which stay together, as :class:`csdm_cli.data.groups.Groups` reads it.
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
    pool = Groups(raw, share.group_by)
    by_class = raw.train.by_class(raw.classes)
    for label in sorted(range(raw.classes), key=lambda label: (len(by_class[label]), label)):
        own = by_class[label]
        order = own[torch.randperm(len(own), generator=seeds.generator(share.seed, "test", label))].tolist()
        groups = list(dict.fromkeys(pool.group_of[position] for position in order))
        _hold_out(pool, label, groups, share.wanted(len(own)))
    if not pool.apart:
        raise UsageError("no image can be held out for the test set without leaving a class empty: add images")
    in_test = torch.tensor([group in pool.apart for group in pool.group_of])
    halves = replace(
        raw,
        train=replace(raw.train, labels=torch.where(in_test, DROPPED, raw.train.labels)),
        test=replace(raw.train, labels=torch.where(in_test, raw.train.labels, DROPPED)),
    )
    few = sum(len(own) <= share.per_class for own in by_class) if share.per_class else 0
    small = f"{counted(few, 'class', 'classes')} of no more than {share.per_class} images"
    left = f"warning: {small}: one of each is left to train on"
    return replace(halves, remarks=raw.remarks + ((left,) if few else ()) + untested_classes(halves))


def _hold_out(pool: Groups, label: int, groups: Sequence[Hashable], wanted: int) -> None:
    """Hold out groups of a class, in this order, as long as they fit; the smallest if none does."""
    for group in groups:
        if pool.held[label] + pool.sizes[group][label] <= wanted:
            pool.keep_apart(group)
    if not pool.held[label]:
        for group in sorted(groups, key=lambda group: pool.sizes[group][label]):
            if not pool.held[label]:
                pool.keep_apart(group)
