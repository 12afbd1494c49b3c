"""Runs in Weights & Biases: online, or below ``runs/`` with ``WANDB_MODE=offline``, for ``wandb sync``."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, SupportsFloat

from csdm_cli import __version__
from csdm_cli.errors import CsdmError
from csdm_cli.storage import places
from csdm_cli.tracking.guard import Guard, first_line
from csdm_cli.tracking.tracker import RunStatus

EXIT_CODES = {RunStatus.finished: 0, RunStatus.failed: 1, RunStatus.killed: 255}  # 255 is shown as "killed"
OUR_STEP = "step"  # wandb drops what comes with an earlier step of its own


class WandbTracker(Guard):
    """Settings and tags as the run's config, numbers with their step and time, the headline as its summary.

    The project is ``$WANDB_PROJECT``, or ``csdm``. Runs of a comparison are a group. A run cannot add to another one
    here: headline numbers stay with the run that measured them.

    Raises:
        CsdmError: on creation, if wandb is not installed or does not let the run begin.
    """

    def __init__(self, command: str, *, parent: str | None = None, name: str | None = None) -> None:
        super().__init__()
        with self.timed():
            try:
                self._run = _begun(command, parent, name or command)
            except ImportError as error:
                hint = "run pip install 'csdm-cli[wandb]'"
                raise CsdmError(f"cannot track this run with wandb ({first_line(error)}): {hint}") from error
            except Exception as error:
                hint = "run wandb login, or set WANDB_MODE=offline to keep runs on this machine"
                raise CsdmError(f"cannot track this run with wandb ({first_line(error)}): {hint}") from error
        self.run_id: str | None = str(Path(self._run.dir).parent) if self._run.offline else str(self._run.url)
        self.startup_seconds = self.overhead_seconds

    def params(self, values: Mapping[str, Any]) -> None:
        """Settings, by their dotted names; a name given before keeps its first value."""

        def add() -> None:
            self._run.config.update({name: value for name, value in _flat(values) if name not in self._run.config})

        self.guarded(add)

    def metric(self, name: str, value: SupportsFloat, step: int = 0, at: float | None = None) -> None:
        """One number."""
        self.metrics({name: value}, step, at)

    def metrics(self, values: Mapping[str, SupportsFloat], step: int = 0, at: float | None = None) -> None:
        """Several numbers of one step, with the time of their measurement."""
        numbers = {name: float(value) for name, value in values.items()}
        stamp = time.time() if at is None else at
        self.guarded(self._run.log, numbers | {OUR_STEP: step, "_timestamp": stamp})

    def headline(self, values: Mapping[str, SupportsFloat], made_by: str | None = None) -> None:
        """Numbers of the run's summary, by which a table of runs is sorted."""
        self.guarded(self._run.summary.update, {name: float(value) for name, value in values.items()})

    def tags(self, values: Mapping[str, Any]) -> None:
        """Words of the config: what wandb calls tags has no names, and room for 64 letters only."""
        self.guarded(self._run.config.update, dict(_flat(values)), allow_val_change=True)

    def dataset(self, name: str, fingerprint: str, context: str, profile: Mapping[str, Any] | None = None) -> None:
        """Keep the set that was read."""
        self.tags({"input": {context: {"name": name, "fingerprint": fingerprint, **(profile or {})}}})

    def model(self, name: str, key: str, settings: Mapping[str, Any], *, made: bool = False) -> None:
        """Networks that were used or made."""
        self.tags({"input": {"made" if made else "model": {"name": name, "key": key}}})

    def table(self, name: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """A table, to be looked at with the run."""

        def add() -> None:
            import wandb

            rows = [list(row) for row in zip(*columns.values(), strict=True)]
            self._run.log({name: wandb.Table(columns=list(columns), data=rows)})

        self.guarded(add)

    def artifact(self, path: Path) -> None:
        """A file or a folder, which wandb copies."""

        def add() -> None:
            import wandb

            kept = wandb.Artifact(re.sub(r"[^\w.-]+", "-", f"{path.name}-{self._run.id}"), type="result")
            (kept.add_dir if path.is_dir() else kept.add_file)(str(path))
            self._run.log_artifact(kept)

        self.guarded(add)

    def close(self, status: RunStatus = RunStatus.finished) -> None:
        """Send what is left, and say how the run ended."""
        self.working = True  # one more try after a failure
        self.guarded(self._run.finish, exit_code=EXIT_CODES[status])
        self.working = False


def _begun(command: str, parent: str | None, name: str) -> Any:
    """A run of wandb's, quiet, beside others of this process."""
    import wandb

    root = places.runs_dir()
    root.mkdir(parents=True, exist_ok=True)
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT") or "csdm",
        name=name,
        job_type=command,
        group=parent and re.sub(r".*[\\/]", "", parent),
        dir=os.environ.get("WANDB_DIR") or str(root),
        config={"csdm": __version__, "command": command},
        reinit="create_new",
        settings=wandb.Settings(silent=True, console="off"),
    )
    run.define_metric("*", step_metric=OUR_STEP)
    return run


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """``{"a": {"b": 1}}`` as ``("a.b", 1)``: numbers stay numbers, so that runs are plotted against them."""
    flat: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat += _flat(value, f"{prefix}{name}.")
        else:
            plain = value is None or isinstance(value, (bool, int, float, list, tuple))
            flat.append((f"{prefix}{name}", value if plain else str(value)))
    return flat
