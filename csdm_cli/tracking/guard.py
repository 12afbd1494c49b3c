"""The guard of all trackers: a failure warns once and ends no run, and the time that all of it took is known."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from csdm_cli.display import console


class Guard:
    """The base of a :class:`csdm_cli.tracking.tracker.Tracker`.

    Attributes:
        overhead_seconds: time that the run spent in here so far, its opening included.
        startup_seconds: the part of it that went into the opening.
        working: whether what is told is still written down.
    """

    def __init__(self) -> None:
        self.overhead_seconds = 0.0
        self.startup_seconds = 0.0
        self.working = True
        self._warned = False
        self._one_at_a_time = threading.RLock()

    def guarded(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call; on a failure warn once, and track no more until the end: a run is worth more than its log."""
        if not self.working:
            return None
        with self.timed(), self._one_at_a_time:
            try:
                return call(*arguments, **named)
            except Exception as error:
                self.working = False
                if not self._warned:
                    self._warned = True
                    console.note(f"warning: tracking stopped ({first_line(error)}); the run itself goes on")
        return None

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the time of the block; of a thread beside the run's own only what it computes."""
        beside = threading.current_thread() is not threading.main_thread()
        clock = time.thread_time if beside else time.perf_counter
        started = clock()
        try:
            yield
        finally:
            self.overhead_seconds += clock() - started


def first_line(error: BaseException) -> str:
    """The error's first line, without SQLAlchemy's remarks around it; of the system's without its number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("(raised as a result of")]
    return lines[0].strip() if lines else type(error).__name__
