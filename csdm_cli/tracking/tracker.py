"""Experiment tracking behind a small interface; without it, nothing else changes.

Metrics files in git are the source of truth; a tracked run is the log to browse and to compare.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, SupportsFloat

from csdm_cli.display.console import note
from csdm_cli.names import Tracking
from csdm_cli.parallel import seat
from csdm_cli.parallel.interruption import held_back
from csdm_cli.storage import places


class RunStatus(StrEnum):
    """The end of a run, in MLflow's words."""

    finished = "FINISHED"
    failed = "FAILED"
    killed = "KILLED"


class Tracker(Protocol):
    """The log of one run of a command. No call but the opening ever raises: tracking cannot end a run.

    Attributes:
        overhead_seconds: time spent inside this tracker so far, its opening included.
        startup_seconds: the part of it that went into the opening.
        run_id: MLflow's id of the run, if there is one. Never write it into a cached output.
    """

    overhead_seconds: float
    startup_seconds: float
    run_id: str | None

    def params(self, values: Mapping[str, Any]) -> None:
        """Settings; nested mappings are flattened with dots. The first value of a name stays."""

    def metric(self, name: str, value: SupportsFloat, step: int = 0, at: float | None = None) -> None:
        """One number at a step, measured ``at`` a time in seconds since 1970 (now)."""

    def metrics(self, values: Mapping[str, SupportsFloat], step: int = 0, at: float | None = None) -> None:
        """Several numbers at a step, measured ``at`` a time."""

    def headline(self, values: Mapping[str, SupportsFloat], made_by: str | None = None) -> None:
        """Numbers to compare runs by: given to this run, to the pipeline it is a stage of, and to its set's own run.

        Args:
            values: numbers; accuracies in percent, as tables print them.
            made_by: the run key of the distilled set that they tell of.
        """

    def tags(self, values: Mapping[str, Any]) -> None:
        """The words that runs are found by."""

    def dataset(self, name: str, fingerprint: str, context: str, profile: Mapping[str, Any] | None = None) -> None:
        """A dataset the run read, e.g. in context ``training``; ``profile`` says what is in it."""

    def model(self, name: str, key: str, settings: Mapping[str, Any], *, made: bool = False) -> None:
        """Networks that the run looked through or, if ``made``, trained; ``key`` tells them from others."""

    def table(self, name: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Rows to be looked at with the run, column by column."""

    def artifact(self, path: Path) -> None:
        """Keep a copy of a file or folder with the run."""

    def close(self, status: RunStatus = RunStatus.finished) -> None:
        """Write what is buffered and end the run."""


class NullTracker:
    """Tracks nothing."""

    def __init__(self) -> None:
        self.overhead_seconds = 0.0
        self.startup_seconds = 0.0
        self.run_id: str | None = None

    def params(self, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def metric(self, name: str, value: SupportsFloat, step: int = 0, at: float | None = None) -> None:
        """Nothing."""

    def metrics(self, values: Mapping[str, SupportsFloat], step: int = 0, at: float | None = None) -> None:
        """Nothing."""

    def headline(self, values: Mapping[str, SupportsFloat], made_by: str | None = None) -> None:
        """Nothing."""

    def tags(self, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def dataset(self, name: str, fingerprint: str, context: str, profile: Mapping[str, Any] | None = None) -> None:
        """Nothing."""

    def model(self, name: str, key: str, settings: Mapping[str, Any], *, made: bool = False) -> None:
        """Nothing."""

    def table(self, name: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Nothing."""

    def artifact(self, path: Path) -> None:
        """Nothing."""

    def close(self, status: RunStatus = RunStatus.finished) -> None:
        """Nothing."""


@contextmanager
def open_tracker(
    kind: Tracking,
    command: str,
    *,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    parent: str | None = None,
    name: str | None = None,
    quiet: bool = False,
) -> Iterator[Tracker]:
    """The tracked run of ``command``, which ends FINISHED, FAILED or KILLED as the block ends.

    Args:
        kind: where to; none and csv need nothing installed.
        command: the command's name, e.g. ``distill``.
        params: the command's settings.
        tags: words to find the run by, e.g. ``{"method": "csdm"}``.
        parent: id of the run that this one is a part of.
        name: name of the run: what it is, in a few words (the command's).
        quiet: do not say where the run is tracked.

    Raises:
        CsdmError: if MLflow is missing or its store cannot be opened; later failures only warn.
    """
    with held_back() as interruption:  # a run, or a whole store, that is half made would be in everybody's way
        tracker = _tracker(kind, command, parent, name or command)
    try:
        interruption.raise_if_asked()
        if kind is not Tracking.none and seat.leads():
            note(f"tracking: {_shown_place(kind, tracker)}", quiet=quiet)
        tracker.params(params or {})
        tracker.tags(tags or {})
        yield tracker
    except BaseException as error:
        _close(tracker, _status(error))
        raise
    _close(tracker, RunStatus.finished)


def _tracker(kind: Tracking, command: str, parent: str | None, name: str) -> Tracker:
    if kind is Tracking.none or not seat.leads():  # a job of several processes is one run
        return NullTracker()
    if kind is Tracking.csv:
        from csdm_cli.tracking.csv import CsvTracker

        return CsvTracker(command, parent=parent, name=name)
    if kind is Tracking.tensorboard:
        from csdm_cli.tracking.tensorboard import TensorboardTracker

        return TensorboardTracker(command, parent=parent, name=name)
    if kind is Tracking.wandb:
        from csdm_cli.tracking.wandb import WandbTracker

        return WandbTracker(command, parent=parent, name=name)
    from csdm_cli.tracking.mlflow import MlflowTracker

    return MlflowTracker(command, parent=parent, name=name)


def _close(tracker: Tracker, status: RunStatus) -> None:
    """Whole, whatever signal comes meanwhile: a run that is not closed counts as running."""
    with held_back() as interruption:
        tracker.close(status)
    interruption.raise_if_asked()


def _shown_place(kind: Tracking, tracker: Tracker) -> str:
    return shown_uri() if kind is Tracking.mlflow else str(tracker.run_id)


def shown_uri() -> str:
    """The store's address without a password."""
    return re.sub(r"//[^/@]*@", "//", places.tracking_uri())


def _status(error: BaseException) -> RunStatus:
    """KILLED for a Ctrl-C or a signal (exit codes of 128 + signal), FINISHED for a clean exit."""
    if isinstance(error, KeyboardInterrupt):
        return RunStatus.killed
    code = getattr(error, "code", getattr(error, "exit_code", 1))
    if isinstance(error, SystemExit) and isinstance(code, int) and code > 128:
        return RunStatus.killed
    return RunStatus.finished if code in (0, None) else RunStatus.failed
