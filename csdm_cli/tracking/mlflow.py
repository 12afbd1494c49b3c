"""Runs in MLflow's store: one per command, under one parent per pipeline."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat

from csdm_cli import __version__
from csdm_cli.errors import CsdmError
from csdm_cli.safe_text import typed
from csdm_cli.settings.resolve import read_yaml
from csdm_cli.storage import places
from csdm_cli.storage.keys import content_key, revision, revision_of, source_hash
from csdm_cli.tracking import mlflow_runs, mlflow_store
from csdm_cli.tracking.guard import Guard, first_line
from csdm_cli.tracking.process import Process
from csdm_cli.tracking.system import system_metrics, system_monitors
from csdm_cli.tracking.tracker import RunStatus, shown_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

EXPERIMENT = "csdm"
FLUSH_COUNT = 1000  # what MLflow takes in one call; per value, ten times cheaper than calls of ten
FLUSH_SECONDS = 5.0  # between batches while a run lasts
FLUSH_SHARE = 0.01  # of the run's time, at most, goes into them
SYSTEM_SECONDS = 10.0
PARAM_LENGTH = 6000
DIGEST_LENGTH = 36


class MlflowTracker(Guard):
    """A :class:`csdm_cli.tracking.tracker.Tracker` that sends numbers in batches while the run lasts.

    Raises:
        CsdmError: on creation, if MLflow is missing or its store cannot be opened.
    """

    def __init__(self, command: str, *, parent: str | None = None, name: str | None = None) -> None:
        super().__init__()
        self._run = ""
        self._parent: str | None = None
        self._buffer: list[Metric] = []
        self._aside: list[Metric] = []  # of the machine: sent behind the run's first number, which pages show first
        self._measured = False
        self._params: set[str] = set()
        self._closing = threading.Event()
        with self.timed():
            client_class = _import_client()
            try:
                path = mlflow_store.database_path(places.tracking_uri())
                with mlflow_store.first_use_lock(path):
                    if path is not None:
                        mlflow_store.prepare(path)
                    self._client = client_class(tracking_uri=places.tracking_uri())
                    self._start(command, parent, name)
            except Exception as error:
                raise CsdmError(_cannot_open(error)) from error
        self.startup_seconds = self.overhead_seconds
        self.run_id: str | None = self._run
        self._sender = threading.Thread(target=self._send_now_and_then, name="tracking", daemon=True)
        self._sender.start()

    def params(self, values: Mapping[str, Any]) -> None:
        """Log settings in one call; a name logged before keeps its first value."""
        from mlflow.entities import Param

        fresh = {name: text for name, text in flatten(values).items() if name not in self._params}
        self._params |= fresh.keys()
        batch = [Param(name, text[:PARAM_LENGTH]) for name, text in fresh.items()]
        for start in range(0, len(batch), 100):
            self.guarded(self._log, params=batch[start : start + 100])

    def metric(self, name: str, value: SupportsFloat, step: int = 0, at: float | None = None) -> None:
        """Buffer one number."""
        self.metrics({name: value}, step, at)

    def metrics(self, values: Mapping[str, SupportsFloat], step: int = 0, at: float | None = None) -> None:
        """Buffer several numbers of one step, with the time of their measurement."""
        if self.working:
            with self.timed():
                self._buffer += _as_metrics(values, step, at)
                self._measured = True

    def headline(self, values: Mapping[str, SupportsFloat], made_by: str | None = None) -> None:
        """Log numbers here, with the pipeline, and with the run that made the set."""
        self.metrics(values)
        others = {self._parent} if self._parent else set()
        if made_by and (maker := self.guarded(self._maker_of, made_by)):
            self.tags({"distill_run": maker})
            others.add(maker)
        for run in others - {self._run}:
            self.guarded(self._client.log_batch, run, metrics=_as_metrics(values))

    def tags(self, values: Mapping[str, Any]) -> None:
        """Set tags in one call."""
        from mlflow.entities import RunTag

        batch = [RunTag(name, text) for name, text in flatten(values).items()]
        if batch:
            self.guarded(self._log, tags=batch)

    def dataset(self, name: str, fingerprint: str, context: str, profile: Mapping[str, Any] | None = None) -> None:
        """Log a dataset by name and fingerprint, and tag the run with the fingerprint."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = Dataset(
            name=name,
            digest=fingerprint[:DIGEST_LENGTH],
            source_type="local",
            source="{}",
            profile=json.dumps(profile) if profile else None,
        )
        entry = DatasetInput(data, [InputTag("mlflow.data.context", context)])
        self.guarded(self._client.log_inputs, self._run, [entry])
        self.tags({f"dataset.{context}": name, f"fingerprint.{context}": fingerprint})

    def model(self, name: str, key: str, settings: Mapping[str, Any], *, made: bool = False) -> None:
        """Log networks as a model of this run's experiment, once for all runs, and as its output or input."""
        self.guarded(self._link_model, name, key, settings, made)

    def table(self, name: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Log a table that MLflow's pages show and compare."""
        data = {column: list(values) for column, values in columns.items()}
        self.guarded(self._client.log_table, self._run, data, f"{name}.json")

    def artifact(self, path: Path) -> None:
        """Copy a file or a folder to the run's artifacts."""
        log = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
        self.guarded(log, self._run, str(path))

    def close(self, status: RunStatus = RunStatus.finished) -> None:
        """Write the buffer and end the run, and its parent with it."""
        self._closing.set()
        self._sender.join()
        self.working = True  # one more try after a failure: a store that was busy may be free again
        self._flush()
        self.guarded(self._client.set_terminated, self._run, status.value)
        if self._parent is not None:
            self.guarded(self._client.set_terminated, self._parent, status.value)
        self.working = False

    def _start(self, command: str, parent: str | None, name: str | None) -> None:
        self._experiment = _experiment(self._client)
        mlflow_runs.close_the_dead(self._client, self._experiment)
        tags = _run_tags(command)
        if parent is None and "DVC_STAGE" in os.environ:
            parent = self._parent = _pipeline_run(self._client, self._experiment)  # which ends with this run
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        run = self._client.create_run(self._experiment, tags=tags, run_name=name or command)
        self._run = run.info.run_id

    def _maker_of(self, key: str) -> str | None:
        return mlflow_runs.maker_of(self._client, self._experiment, key)

    def _link_model(self, name: str, key: str, settings: Mapping[str, Any], made: bool) -> None:
        """The runs table shows what a run made and what it read."""
        from mlflow.entities import LoggedModelInput, LoggedModelOutput

        model = mlflow_runs.model_of(self._client, self._experiment, name, key, flatten(settings), self._run)
        if made:
            self._client.log_outputs(self._run, [LoggedModelOutput(model, 0)])
        else:
            self._client.log_inputs(self._run, models=[LoggedModelInput(model)])

    def _send_now_and_then(self) -> None:
        """The sender, in a thread of its own, so that pages show a run that is at one long computation too."""
        monitors = system_monitors()
        pause, next_look = FLUSH_SECONDS, time.monotonic()
        while not self._closing.wait(pause):
            if time.monotonic() >= next_look and self.working:
                next_look = time.monotonic() + SYSTEM_SECONDS
                self._aside += _as_metrics(system_metrics(monitors))
            started = time.monotonic()
            self._flush()
            pause = max(FLUSH_SECONDS, (time.monotonic() - started) / FLUSH_SHARE)

    def _flush(self) -> None:
        self._send(self._buffer)
        if self._measured or self._closing.is_set():
            self._send(self._aside)

    def _send(self, numbers: list[Metric]) -> None:
        while numbers and self.working:
            batch = numbers[:FLUSH_COUNT]
            self.guarded(self._log, metrics=batch)
            if self.working:
                del numbers[: len(batch)]

    def _log(self, **batch: Any) -> None:
        self._client.log_batch(self._run, synchronous=True, **batch)


def _as_metrics(values: Mapping[str, SupportsFloat], step: int = 0, at: float | None = None) -> list[Metric]:
    from mlflow.entities import Metric

    moment = int(1000 * (time.time() if at is None else at))
    return [Metric(metric_name(name), float(value), moment, step) for name, value in values.items()]


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """``{"a": {"b": 1}}`` as ``{"a.b": "1"}``; lists become JSON."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        elif isinstance(value, (list, tuple)):
            flat[metric_name(f"{prefix}{name}")] = json.dumps(value, default=str)
        else:
            flat[metric_name(f"{prefix}{name}")] = str(value)
    return flat


def metric_name(name: str) -> str:
    """``name`` with what MLflow refuses replaced by ``_``."""
    return re.sub(r"[^\w\-. /:]", "_", name)


def _cannot_open(error: Exception) -> str:
    """One line with what to do."""
    text, place = str(error), shown_uri()
    if "mlflow db upgrade" in text:
        return (
            f"the tracking store {place} was made by an older MLflow: make a backup of it, then run"
            f"  mlflow db upgrade {typed(place)}"
        )
    if "Can't locate revision" in text:
        return f"the tracking store {place} was made by a newer MLflow: run pip install --upgrade mlflow"
    return (
        f"cannot open the tracking store {place} ({first_line(error)}): "
        "mend it, set MLFLOW_TRACKING_URI, or use --tracking none"
    )


def _import_client() -> type[MlflowClient]:
    # Before the import: MLflow opens connections and logs as soon as it is imported.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    for logger in ("mlflow", "alembic", "sqlalchemy"):  # what goes wrong is said in one line, by us
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise CsdmError(
            f"MLflow cannot be imported ({error}): run pip install mlflow, or use --tracking none"
        ) from None
    return MlflowClient


def _experiment(client: MlflowClient) -> str:
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    if (found := client.get_experiment_by_name(name)) is not None:
        return str(found.experiment_id)
    # MLflow's own default is below the working directory, which may be a copy that DVC deletes.
    path = mlflow_store.database_path(places.tracking_uri())
    location = (path.parent / "mlruns" / name).as_uri() if path else None
    return str(client.create_experiment(name, artifact_location=location))


def _run_tags(command: str) -> dict[str, str]:
    tags = {
        "mlflow.source.name": f"csdm {command}",
        "mlflow.source.type": "LOCAL",
        "command": command,
        "csdm.version": __version__,
        "csdm.source": source_hash(),
    }
    tags |= Process.current().tags
    own, project = revision(), revision_of(places.project_root())
    for owner, code in (("csdm", own), ("project", project)):
        if code is not None:
            tags |= {f"{owner}.commit": code.commit, f"{owner}.dirty": str(code.dirty)}
    if (source := project or own) is not None:
        tags["mlflow.source.git.commit"] = source.commit
    for variable, tag in (("DVC_STAGE", "dvc.stage"), ("DVC_EXP_NAME", "dvc.exp")):
        if value := os.environ.get(variable):
            tags[tag] = value
    return tags


def _pipeline_run(client: MlflowClient, experiment: str) -> str:
    """The parent of all stages of one pipeline: same params.yaml, same DVC experiment. Call it under the lock."""
    file = Path(os.environ.get("DVC_ROOT", ".")) / "params.yaml"
    params = read_yaml(file) if file.exists() else {}
    name = os.environ.get("DVC_EXP_NAME", "")
    key = content_key([params, name])
    found = client.search_runs([experiment], f"tags.pipeline = '{key}'", max_results=1)
    if found:
        parent = str(found[0].info.run_id)
        client.update_run(parent, status="RUNNING")
        for tag, text in Process.current().tags.items():
            client.set_tag(parent, tag, text)
        return parent
    run = client.create_run(experiment, tags={"pipeline": key} | _run_tags("pipeline"), run_name=name or "pipeline")
    for setting, text in flatten(params).items():
        client.log_param(run.info.run_id, setting, text[:PARAM_LENGTH])
    return str(run.info.run_id)
