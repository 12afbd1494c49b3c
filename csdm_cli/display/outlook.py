"""The first steps of a loop tell how long it will take, and whether other work is in its way."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LONG = 600.0  # seconds that are worth a word at the start
SAMPLE = 5.0  # seconds of steps that are measured, after the first one, which warms up
BUSY = 0.5  # cores' worth of other work that is worth a word

STAT = Path("/proc/stat")
TICKS = 100  # per second, in Linux's files on every common machine


class Outlook:
    """The forecast from the first steps of one loop, told once."""

    def __init__(
        self, description: str, total: int, advice: str = "", others: Callable[[], float] | None = None
    ) -> None:
        """``advice``: how a long loop could be faster. ``others``: seconds that other processes have computed."""
        self.done = False
        self._description, self._total, self._advice = description, total, advice
        self._others = others or other_processes_seconds
        self._first: tuple[float, int, float] | None = None

    def after(self, step: int, now: float) -> list[str]:
        """Remarks after ``step`` steps, at ``now`` seconds of a steady clock; most often none."""
        if self._first is None:
            self._first = (now, step, self._others())
            return []
        then, first, others = self._first
        if self.done or now < then + SAMPLE or step <= first:
            return []
        self.done = True
        pace, left = (now - then) / (step - first), self._total - step
        return [*self._long(pace * left, left), *_crowded((self._others() - others) / (now - then))]

    def _long(self, seconds: float, steps: int) -> list[str]:
        if seconds < LONG:
            return []
        advice = f"; {self._advice}" if self._advice else ""
        what = f"about {_spoken(seconds)} for the {steps:,} steps left, by the first ones"
        return [f"{self._description}: {what}{advice}"]


def other_processes_seconds() -> float:
    """Processor seconds that other processes of this machine have used; 0 where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        user, nice, system, _, _, irq, softirq = map(int, STAT.read_text().splitlines()[0].split()[1:8])
        return (user + nice + system + irq + softirq) / TICKS - time.process_time()
    return 0.0


_told: list[bool] = []


def _crowded(others: float) -> list[str]:
    """A warning, once, if ``others`` cores' worth of other work leaves fewer cores than there are threads."""
    threads, cores = _threads(), os.cpu_count() or 1
    if _told or threads < 2 or others < BUSY or others + threads < cores + BUSY:
        return []
    _told.append(True)
    free = max(1, int(cores - others))
    return [
        f"warning: other work takes {others:.1f} of {cores} cores, and {threads} threads that wait for one another can"
        f" be several times slower than one then: --threads {free}"
    ]


def _threads() -> int:
    """The number of torch's threads, without importing torch."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else 1


def _spoken(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 2 * 3600 else f"{seconds / 60:.0f} minutes"
