"""Images that belong together: of one patient, one video, one traffic sign that a car drove by."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence

from csdm_cli.data.sources.raw import DROPPED, RawDataset
from csdm_cli.errors import UsageError
from csdm_cli.safe_text import shown


class Groups:
    """Groups of training images, and which of them are kept apart so far.

    Args:
        raw: the source.
        pattern: regular expression on file names; images with the same match (of its first group, if it has one)
            belong together. None: every image stands for itself.

    Attributes:
        group_of: the group of every image, in the source's order.
        sizes: group -> label -> images.
        held: label -> images kept apart.
        apart: the groups kept apart.

    Raises:
        UsageError: if the images have no names, or ``pattern`` does not fit one.
    """

    def __init__(self, raw: RawDataset, pattern: str | None) -> None:
        labels = raw.train.labels.tolist()
        self.group_of = _groups(raw, pattern)
        self.sizes: dict[Hashable, Counter[int]] = {}
        for label, group in zip(labels, self.group_of, strict=True):
            if label != DROPPED:
                self.sizes.setdefault(group, Counter())[label] += 1
        self._left = Counter(label for label in labels if label != DROPPED)
        self.held: Counter[int] = Counter()
        self.apart: set[Hashable] = set()

    def keep_apart(self, group: Hashable) -> None:
        """Keep the group apart, unless it is already or would leave a class without training images."""
        own = self.sizes[group]
        if group not in self.apart and all(self._left[label] > count for label, count in own.items()):
            self.apart.add(group)
            self._left -= own
            self.held += own


def _groups(raw: RawDataset, pattern: str | None) -> Sequence[Hashable]:
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
