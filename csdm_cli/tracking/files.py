"""Runs tracked in files: a folder for each, with its settings, tags, tables and files."""

from __future__ import annotations

import json
import re
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, SupportsFloat

from csdm_cli import __version__
from csdm_cli.errors import CsdmError
from csdm_cli.storage import atomic, places
from csdm_cli.tracking.guard import Guard, first_line
from csdm_cli.tracking.mlflow import flatten
from csdm_cli.tracking.tracker import RunStatus


class FolderTracker(Guard, ABC):
    """A run as a folder below ``runs/``: ``run.json``, tables as CSV, copies of files; numbers are left to subclasses.

    A run cannot add to another one here: headline numbers stay with the run that measured them.

    Raises:
        CsdmError: on creation, if the folder cannot be made.
    """

    def __init__(self, command: str, *, parent: str | None = None, name: str | None = None) -> None:
        super().__init__()
        with self.timed():
            try:
                self.folder = _new_folder(places.runs_dir(), name or command)
                self.open_numbers()
            except (OSError, ImportError) as error:
                raise CsdmError(f"cannot track this run in {places.runs_dir()} ({first_line(error)})") from error
        self.run_id: str | None = str(self.folder)
        self._about: dict[str, Any] = {
            "name": name or command,
            "command": command,
            "parent": parent,
            "csdm": __version__,
            "started": _now(),
            "params": {},
            "tags": {},
            "inputs": [],
        }
        self.startup_seconds = self.overhead_seconds
        self.guarded(self._write)

    @abstractmethod
    def open_numbers(self) -> None:
        """Prepare :meth:`write_numbers`."""

    @abstractmethod
    def write_numbers(self, values: Mapping[str, float], step: int, at: float) -> None:
        """Several numbers of a step, measured ``at`` seconds since 1970."""

    @abstractmethod
    def close_numbers(self) -> None:
        """Write what is buffered."""

    def params(self, values: Mapping[str, Any]) -> None:
        """Keep settings; a name given before keeps its first value."""
        self._about["params"] = flatten(values) | self._about["params"]
        self.guarded(self._write)

    def metric(self, name: str, value: SupportsFloat, step: int = 0, at: float | None = None) -> None:
        """Write one number."""
        self.metrics({name: value}, step, at)

    def metrics(self, values: Mapping[str, SupportsFloat], step: int = 0, at: float | None = None) -> None:
        """Write several numbers of one step, with the time of their measurement."""
        numbers = {name: float(value) for name, value in values.items()}
        self.guarded(self.write_numbers, numbers, step, time.time() if at is None else at)

    def headline(self, values: Mapping[str, SupportsFloat], made_by: str | None = None) -> None:
        """Write numbers."""
        self.metrics(values)

    def tags(self, values: Mapping[str, Any]) -> None:
        """Keep tags."""
        self._about["tags"] |= flatten(values)
        self.guarded(self._write)

    def dataset(self, name: str, fingerprint: str, context: str, profile: Mapping[str, Any] | None = None) -> None:
        """Keep what was read."""
        self._about["inputs"].append({"name": name, "fingerprint": fingerprint, "context": context})
        self.guarded(self._write)

    def model(self, name: str, key: str, settings: Mapping[str, Any], *, made: bool = False) -> None:
        """Keep which networks were used or made."""
        self._about["inputs"].append({"name": name, "key": key, "context": "made" if made else "model"})
        self.guarded(self._write)

    def table(self, name: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Write a table as CSV."""
        self.guarded(atomic.write_csv, self.folder / f"{name}.csv", columns)

    def artifact(self, path: Path) -> None:
        """Copy a file or a folder."""
        place = self.folder / "artifacts" / path.name

        def copy() -> None:
            place.parent.mkdir(exist_ok=True)
            shutil.copytree(path, place, dirs_exist_ok=True) if path.is_dir() else shutil.copyfile(path, place)

        self.guarded(copy)

    def close(self, status: RunStatus = RunStatus.finished) -> None:
        """Write what is buffered, and how the run ended."""
        self.guarded(self.close_numbers)
        self._about |= {"status": status.value, "ended": _now()}
        self.working = True  # one more try after a failure
        self.guarded(self._write)
        self.working = False

    def _write(self) -> None:
        text = json.dumps(self._about, indent=2, sort_keys=True) + "\n"
        atomic.write_text(self.folder / "run.json", text)


def _new_folder(root: Path, name: str) -> Path:
    """``root``/TIME-NAME, with a number behind it where that is taken."""
    safe = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:80]
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    root.mkdir(parents=True, exist_ok=True)
    for number in range(1000):
        folder = root / (f"{stamp}-{safe}" + (f"-{number}" if number else ""))
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{root} holds a thousand runs of this second")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
