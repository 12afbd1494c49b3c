"""The classes that a rank distils."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassShare:
    """The classes ``first`` … ``last``-1, in chunks of ``chunk`` from ``first`` on: those of one rank of ``world``.

    ``unit`` classes stay together, whatever their rank.
    """

    rank: int
    world: int
    first: int
    last: int
    chunk: int
    unit: int = 1

    def __len__(self) -> int:
        return self.last - self.first

    @property
    def chunks(self) -> tuple[tuple[int, int], ...]:
        """First class of each chunk, and the one after its last."""
        return tuple((first, min(first + self.chunk, self.last)) for first in range(self.first, self.last, self.chunk))

    @property
    def division(self) -> str:
        """The name of the division into shares, as part of a file's name."""
        return f"of-{self.world}-by-{self.chunk}"

    @property
    def name(self) -> str:
        """The name of this share, as part of a file's name."""
        return f"rank-{self.rank}-{self.division}"


def share_of(rank: int, world: int, classes: int, chunk: int, unit: int | None = None) -> ClassShare:
    """The share of ``rank``: contiguous, and as even as whole units allow; rank 0 always has some.

    Args:
        rank, world: which share, of how many.
        classes: to be divided.
        chunk: classes at a time.
        unit: classes that stay together, from multiples of it on. As many as a chunk, which is the default, they
            make the chunks the same for every ``world``; with more ranks than units some shares are empty.
    """
    unit = unit or chunk
    first, last = (_start(border, world, classes, unit) for border in (rank, rank + 1))
    return ClassShare(rank, world, first, last, chunk, unit)


def _start(rank: int, world: int, classes: int, unit: int) -> int:
    if rank == 0:
        return 0
    if rank == world:
        return classes
    nearest = (2 * rank * classes + world * unit) // (2 * world * unit)  # border between units, halves rounded up
    return min(max(1, nearest) * unit, classes)
