"""Values used lately, kept as far as there is room.

cachetools keeps no value that is larger than its room, and would make it again at every look: statistics or
frequencies of one huge view would be read or drawn again in every step. Here the last value stays in any case.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

ValueT = TypeVar("ValueT")


class LruCache(Generic[ValueT]):
    """The values used last; the others are made again when they are asked for."""

    def __init__(self, room: int) -> None:
        """``room`` is for the sizes of all values together; the last one stays even if it alone is larger."""
        self._room, self._taken = room, 0
        self._kept: OrderedDict[Hashable, tuple[ValueT, int]] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def get(self, key: Hashable, make: Callable[[], ValueT], size: Callable[[ValueT], int]) -> ValueT:
        """The value of ``key``, made if it is not here."""
        if key not in self._kept:
            value = make()
            self._kept[key] = value, size(value)
            self._taken += size(value)
            while self._taken > self._room and len(self._kept) > 1:
                _, (_, freed) = self._kept.popitem(last=False)
                self._taken -= freed
        self._kept.move_to_end(key)
        return self._kept[key][0]
