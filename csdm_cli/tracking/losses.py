"""Loss terms on their way to a tracker while the optimisation lasts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from csdm_cli.tracking.tracker import Tracker

if TYPE_CHECKING:
    from torch import Tensor

SECONDS = 5.0


class LossLog:
    """Notes when each step was done, and reads the losses now and then: reading each would hold up a GPU.

    Args:
        tracker: where to.
        live: whether to tell of losses meanwhile; else only :meth:`finish` does, with the same times.
    """

    def __init__(self, tracker: Tracker, *, live: bool = True) -> None:
        self._tracker = tracker
        self._live = live
        self._begun = time.time()
        self._times: dict[int, float] = {}
        self._told = 0
        self._due = time.monotonic() + SECONDS

    def after(self, step: int, history: Mapping[str, Tensor]) -> None:
        """Step number ``step`` is done; ``history`` holds every term at every step so far: (steps,) each."""
        self._times[step] = time.time()
        if self._live and time.monotonic() >= self._due:
            self._tell(history, step + 1)
            self._due = time.monotonic() + SECONDS

    def finish(self, history: Mapping[str, Tensor]) -> None:
        """Tell what is left; steps that an earlier process took count as of the start of this one."""
        self._tell(history, min((len(values) for values in history.values()), default=0))

    def _tell(self, history: Mapping[str, Tensor], end: int) -> None:
        columns = {f"loss/{name}": values[self._told : end].tolist() for name, values in sorted(history.items())}
        for number, step in enumerate(range(self._told, end)):
            row = {name: column[number] for name, column in columns.items()}
            self._tracker.metrics(row, step, self._times.get(step, self._begun))
        self._told = end
