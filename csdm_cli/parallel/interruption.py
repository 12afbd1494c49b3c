"""Ctrl-C, SIGTERM and a closed terminal: they wait for the end of a step, and whoever stops a command is told more."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from csdm_cli.display.console import note as tell


class Interruption:
    """Remembers the first signal; :meth:`raise_if_asked` turns it into an exception at a safe place."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def raise_if_asked(self) -> None:
        """Raises: KeyboardInterrupt after SIGINT, SystemExit(128 + signal) after SIGTERM and SIGHUP."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is not None:
            raise SystemExit(128 + self.signal)


@contextmanager
def held_back() -> Iterator[Interruption]:
    """Within the block SIGINT, SIGTERM and SIGHUP are only noted; a second one acts at once, as before.

    Outside the main thread signals cannot be caught, and the block changes nothing.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows; ignored under nohup, and then it stays so
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        before[hangup] = signal.getsignal(hangup)

    def note(number: int, frame: FrameType | None) -> None:
        interruption.signal = number
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def telling_what_is_kept(*, quiet: bool = False) -> Iterator[None]:
    """Say, unless ``quiet``, where the same command goes on if one of these signals ends the block."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        tell("stopped: what is finished is kept, and the same command goes on from there", quiet=quiet)
        raise
