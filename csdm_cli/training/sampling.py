"""Which images a step's batch holds, as a function of the seed and the step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from csdm_cli.seeds import generator

# Maps a step to the positions of its images, (n,) int64 on the CPU.
Sampler = Callable[[int], Tensor]
# Images that a class gives when its turn comes (LTDD's class-aware sampler).
PER_TURN = 4


class Shuffled:
    """Shuffles of all images follow one another, and the batches are cut from that sequence.

    Args:
        count: images.
        size: number of images of a batch, at most ``count``.
        seed: random seed of the shuffles.
    """

    def __init__(self, count: int, size: int, seed: int) -> None:
        self._count, self._size, self._seed = count, size, seed
        self._shuffle = lru_cache(maxsize=2)(self._draw_shuffle)

    def __call__(self, step: int) -> Tensor:
        """Positions of the images of a step: (size,)."""
        first, last = step * self._size, (step + 1) * self._size
        shuffles = range(first // self._count, (last - 1) // self._count + 1)
        joined = torch.cat([self._shuffle(number) for number in shuffles])
        return joined[first - shuffles.start * self._count :][: self._size]

    def _draw_shuffle(self, number: int) -> Tensor:
        return torch.randperm(self._count, generator=generator(self._seed, "shuffle", number))


class ClassAware:
    """The classes take turns in random order, all once and then again, and give ``PER_TURN`` images each.

    Every class shuffles its own images, and shuffles them anew when all were given: a class of few images comes as
    often as one of many, each of its images more often.

    Args:
        labels: (N,) int64, each class below the largest having an image.
        size: number of images of a batch.
        seed: random seed of the turns and shuffles.
    """

    def __init__(self, labels: Tensor, size: int, seed: int) -> None:
        labels = labels.cpu()
        self._members = [(labels == label).nonzero().flatten() for label in range(int(labels.max()) + 1)]
        self._size, self._seed = size, seed
        self._turns = lru_cache(maxsize=8)(self._draw_turns)
        self._shuffle = lru_cache(maxsize=4 * len(self._members))(self._draw_shuffle)

    def __call__(self, step: int) -> Tensor:
        """Positions of the images of a step: (size,)."""
        return torch.tensor([self._image(place) for place in range(step * self._size, (step + 1) * self._size)])

    def _image(self, place: int) -> int:
        """The image at ``place`` of the endless sequence."""
        turn, within = divmod(place, PER_TURN)
        cycle, rank = divmod(turn, len(self._members))
        label = self._turns(cycle)[rank]
        shuffle, position = divmod(cycle * PER_TURN + within, len(self._members[label]))
        return self._shuffle(label, shuffle)[position]

    def _draw_turns(self, cycle: int) -> Sequence[int]:
        order: list[int] = torch.randperm(len(self._members), generator=generator(self._seed, "turns", cycle)).tolist()
        return order

    def _draw_shuffle(self, label: int, number: int) -> Sequence[int]:
        members = self._members[label]
        order = torch.randperm(len(members), generator=generator(self._seed, "shuffle", label, number))
        shuffled: list[int] = members[order].tolist()
        return shuffled
