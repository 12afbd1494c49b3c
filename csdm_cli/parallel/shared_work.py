"""Work that several processes share through the cache: each takes what nobody else is at.

Whether the processes are ranks of one job or were started one by one makes no difference, and neither does who does
what: a piece's result depends on the piece alone, and is read from the cache by whoever needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

PieceT = TypeVar("PieceT")


def do_unclaimed(
    pieces: Iterable[PieceT], locks: Callable[[PieceT], Sequence[Path]], do: Callable[[PieceT], None]
) -> None:
    """Call ``do`` for every piece, while holding the piece's lock files; first for those that are free at once.

    In the end all pieces are done: those that others were at are waited for. ``do`` finds out by itself that a piece
    is done already, so that a piece whose process died is done by one of those who waited for it.

    Args:
        pieces: the work.
        locks: the lock files of a piece; their folder exists. Two pieces share one only if they share work.
        do: does a piece unless it is done.
    """
    busy = [piece for piece in pieces if not _try(piece, locks(piece), do, wait=False)]
    for piece in busy:
        _try(piece, locks(piece), do, wait=True)


def _try(piece: PieceT, locks: Sequence[Path], do: Callable[[PieceT], None], *, wait: bool) -> bool:
    with ExitStack() as held:
        try:
            for path in sorted(locks):  # in one order everywhere: nobody waits in a circle
                held.enter_context(FileLock(path, timeout=-1 if wait else 0))
        except Timeout:
            return False
        do(piece)
    return True
