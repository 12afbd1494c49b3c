"""Experiment tracking behind a small interface; without it, nothing else changes.

Metrics files in git are the source of truth; a tracked run is the log to browse and to compare.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, SupportsFloat

from csdm_cli import places, torchrun
from csdm_cli.console import note
from csdm_cli.names import Tracking


class Status(StrEnum):
    """How a run ended, in MLflow's words."""

    finished = "FINISHED"
    failed = "FAILED"
    killed = "KILLED"


class Tracker(Protocol):
    """What a command tells about its run. No call but the opening ever raises: tracking cannot end a run.

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

    def metric(self, name: str, value: SupportsFloat, step: int = 0) -> None:
        """One number at a step."""

    def metrics(self, values: Mapping[str, SupportsFloat], step: int = 0) -> None:
        """Several numbers at a step."""

    def tags(self, values: Mapping[str, Any]) -> None:
        """What runs are found by."""

    def dataset(self, name: str, fingerprint: str, context: str) -> None:
        """A dataset the run read, e.g. in context ``training``."""

    def artifact(self, path: Path) -> None:
        """Keep a copy of a file or folder with the run."""

    def close(self, status: Status = Status.finished) -> None:
        """Write what is buffered and end the run."""


class NullTracker:
    """Tracks nothing."""

    def __init__(self) -> None:
        self.overhead_seconds = 0.0
        self.startup_seconds = 0.0
        self.run_id: str | None = None

    def params(self, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def metric(self, name: str, value: SupportsFloat, step: int = 0) -> None:
        """Nothing."""

    def metrics(self, values: Mapping[str, SupportsFloat], step: int = 0) -> None:
        """Nothing."""

    def tags(self, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def dataset(self, name: str, fingerprint: str, context: str) -> None:
        """Nothing."""

    def artifact(self, path: Path) -> None:
        """Nothing."""

    def close(self, status: Status = Status.finished) -> None:
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
        kind: mlflow, or none, which needs no MLflow installed.
        command: the command's name, e.g. ``distill``.
        params: the command's settings.
        tags: what the run is to be found by, e.g. ``{"method": "csdm"}``.
        parent: id of the run that this one is a part of.
        name: of the run, unless it is called like the command or the stage of the pipeline.
        quiet: do not say where the run is tracked.

    Raises:
        CsdmError: if MLflow is missing or its store cannot be opened; later failures only warn.
    """
    tracker: Tracker
    if kind is Tracking.none or not torchrun.leads():  # a job of several processes is one run
        tracker = NullTracker()
    else:
        from csdm_cli.mlflow_tracker import MlflowTracker

        tracker = MlflowTracker(command, parent=parent, name=name)
        note(f"tracking: {shown_uri()}", quiet=quiet)
    try:
        tracker.params(params or {})
        tracker.tags(tags or {})
        yield tracker
    except BaseException as error:
        tracker.close(_status(error))
        raise
    tracker.close()


def shown_uri() -> str:
    """The store's address without a password."""
    return re.sub(r"//[^/@]*@", "//", places.tracking_uri())


def _status(error: BaseException) -> Status:
    """KILLED for a Ctrl-C or a signal (exit codes of 128 + signal), FINISHED for a clean exit."""
    if isinstance(error, KeyboardInterrupt):
        return Status.killed
    code = getattr(error, "code", getattr(error, "exit_code", 1))
    if isinstance(error, SystemExit) and isinstance(code, int) and code > 128:
        return Status.killed
    return Status.finished if code in (0, None) else Status.failed
