"""The development set: images of every class that are kept apart before the long tail is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from csdm_cli import seeds
from csdm_cli.data.groups import Groups
from csdm_cli.data.sources.raw import RawDataset
from csdm_cli.errors import UsageError
from csdm_cli.safe_text import shown


@dataclass(frozen=True)
class Reserve:
    """Positions in the source's training set, per class.

    Attributes:
        reserved: (K,) each, for development; empty if none were asked for.
        remaining: the images that may be trained on, in the source's order.
        unused: images of the development set's groups beyond those that it needs: they are in neither.
    """

    reserved: tuple[Tensor, ...]
    remaining: tuple[Tensor, ...]
    unused: int


def reserve(raw: RawDataset, each: int, group_by: str | None, seed: int) -> Reserve:
    """Draw ``each`` development images of every class, from whole groups, of which none is left to train on.

    Small classes choose their groups first, so that a group that spans classes serves the rare one.

    Raises:
        UsageError: if a class would be left without training images, or file names do not fit ``group_by``.
    """
    by_class = raw.train.by_class(raw.classes)
    if not each:
        return Reserve((), by_class, 0)
    for name, positions in zip(raw.class_names, by_class, strict=True):
        if each >= len(positions):
            raise UsageError(
                f"class {shown(name)} has {len(positions)} training images: --dev {each} would leave none to train on"
            )
    pool = Groups(raw, group_by)
    orders = [
        positions[torch.randperm(len(positions), generator=seeds.generator(seed, "dev", label))].tolist()
        for label, positions in enumerate(by_class)
    ]
    for label in sorted(range(raw.classes), key=lambda label: (len(by_class[label]), label)):
        for position in orders[label]:
            if pool.held[label] < each:
                pool.keep_apart(pool.group_of[position])
        if pool.held[label] < each:
            raise UsageError(
                f"class {shown(raw.class_names[label])} cannot give {each} development images in whole groups of "
                f"--group-by {shown(str(group_by))} and keep some to train on: --dev must be smaller"
            )
    kept_apart = [[position for position in order if pool.group_of[position] in pool.apart] for order in orders]
    remaining = tuple(
        torch.tensor([position for position in positions.tolist() if pool.group_of[position] not in pool.apart])
        for positions in by_class
    )
    return Reserve(
        tuple(torch.tensor(own[:each]) for own in kept_apart),
        remaining,
        sum(len(own) - each for own in kept_apart),
    )
