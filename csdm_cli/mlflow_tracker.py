"""Runs in MLflow's store: one per command, under one parent per pipeline."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat

from csdm_cli import __version__, console, places
from csdm_cli.errors import CsdmError
from csdm_cli.keys import content_key, source_hash
from csdm_cli.revision import revision
from csdm_cli.settings import read_yaml
from csdm_cli.tracking import Status, shown_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

EXPERIMENT = "csdm"
FLUSH_COUNT = 1000  # what MLflow takes in one call; per value, ten times cheaper than calls of ten
FLUSH_SECONDS = 30.0
PARAM_LENGTH = 6000
DIGEST_LENGTH = 36
LOCK_SECONDS = 120.0


class MlflowTracker:
    """A :class:`csdm_cli.tracking.Tracker` that buffers numbers and writes them in batches.

    Raises:
        CsdmError: on creation, if MLflow is missing or its store cannot be opened.
    """

    def __init__(self, command: str, *, parent: str | None = None, name: str | None = None) -> None:
        self.overhead_seconds = 0.0
        self.startup_seconds = 0.0
        self._run = ""
        self._parent: str | None = None
        self._buffer: list[Metric] = []
        self._params: set[str] = set()
        self._flushed = time.monotonic()
        self._working = True
        self._warned = False
        with self._timed():
            client_class = _import_client()
            try:
                with _first_use_lock():
                    self._client = client_class(tracking_uri=places.tracking_uri())
                    self._start(command, parent, name)
            except Exception as error:
                raise CsdmError(
                    f"cannot open the tracking store {shown_uri()} ({_first_line(error)}): "
                    "mend it, set MLFLOW_TRACKING_URI, or use --tracking none"
                ) from error
        self.startup_seconds = self.overhead_seconds
        self.run_id: str | None = self._run

    def params(self, values: Mapping[str, Any]) -> None:
        """Log settings in one call; a name logged before keeps its first value."""
        from mlflow.entities import Param

        fresh = {name: text for name, text in flatten(values).items() if name not in self._params}
        self._params |= fresh.keys()
        batch = [Param(name, text[:PARAM_LENGTH]) for name, text in fresh.items()]
        for start in range(0, len(batch), 100):
            self._guarded(self._log, params=batch[start : start + 100])

    def metric(self, name: str, value: SupportsFloat, step: int = 0) -> None:
        """Buffer one number; the buffer is written when it is full or old."""
        self.metrics({name: value}, step)

    def metrics(self, values: Mapping[str, SupportsFloat], step: int = 0) -> None:
        """Buffer several numbers of one step."""
        if not self._working:
            return
        with self._timed():
            from mlflow.entities import Metric

            now = int(time.time() * 1000)
            self._buffer += [Metric(metric_name(name), float(value), now, step) for name, value in values.items()]
        if len(self._buffer) >= FLUSH_COUNT or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._flush()

    def tags(self, values: Mapping[str, Any]) -> None:
        """Set tags in one call."""
        from mlflow.entities import RunTag

        batch = [RunTag(name, text) for name, text in flatten(values).items()]
        if batch:
            self._guarded(self._log, tags=batch)

    def dataset(self, name: str, fingerprint: str, context: str) -> None:
        """Log a dataset by name and fingerprint, and tag the run with the fingerprint."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = Dataset(name=name, digest=fingerprint[:DIGEST_LENGTH], source_type="local", source="{}")
        entry = DatasetInput(data, [InputTag("mlflow.data.context", context)])
        self._guarded(self._client.log_inputs, self._run, [entry])
        self.tags({f"dataset.{context}": name, f"fingerprint.{context}": fingerprint})

    def artifact(self, path: Path) -> None:
        """Copy a file or a folder to the run's artifacts."""
        log = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
        self._guarded(log, self._run, str(path))

    def close(self, status: Status = Status.finished) -> None:
        """Write the buffer and end the run, and its parent with it."""
        self._working = True  # one more try after a failure: a store that was busy may be free again
        self._flush()
        self._guarded(self._client.set_terminated, self._run, status.value)
        if self._parent is not None:
            self._guarded(self._client.set_terminated, self._parent, status.value)
        self._working = False

    def _start(self, command: str, parent: str | None, name: str | None) -> None:
        experiment = _experiment(self._client)
        tags = _run_tags(command)
        if parent is None and "DVC_STAGE" in os.environ:
            parent = self._parent = _pipeline_run(self._client, experiment)  # which ends with this run
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        name = name or os.environ.get("DVC_STAGE", command)
        run = self._client.create_run(experiment, tags=tags, run_name=name)
        self._run = run.info.run_id

    def _flush(self) -> None:
        while self._buffer and self._working:
            self._guarded(self._log, metrics=self._buffer[:FLUSH_COUNT])
            if self._working:
                del self._buffer[:FLUSH_COUNT]
        self._flushed = time.monotonic()

    def _log(self, **batch: Any) -> None:
        self._client.log_batch(self._run, synchronous=True, **batch)

    def _guarded(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        """Call; on a failure warn once, and track no more until the end: a run is worth more than its log."""
        if not self._working:
            return
        with self._timed():
            try:
                call(*arguments, **named)
            except Exception as error:
                self._working = False
                if self._warned:
                    return
                self._warned = True
                console.note(f"warning: tracking stopped ({_first_line(error)}); the run itself goes on")

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.overhead_seconds += time.perf_counter() - started


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


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _import_client() -> type[MlflowClient]:
    # Before the import: MLflow opens connections and logs as soon as it is imported.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise CsdmError(
            f"MLflow cannot be imported ({error}): run pip install mlflow, or use --tracking none"
        ) from None
    return MlflowClient


def _store_folder() -> Path | None:
    """Where the embedded database lies; None for a server."""
    uri = places.tracking_uri()
    return Path(uri.removeprefix("sqlite:///")).absolute().parent if uri.startswith("sqlite:///") else None


@contextmanager
def _first_use_lock() -> Iterator[None]:
    """One process at a time: a new client creates the database's tables, and two at once would crash."""
    from filelock import FileLock

    folder = _store_folder() or places.cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "mlflow.db.lock", timeout=LOCK_SECONDS):
        yield


def _experiment(client: MlflowClient) -> str:
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    if (found := client.get_experiment_by_name(name)) is not None:
        return str(found.experiment_id)
    # MLflow's own default is below the working directory, which may be a copy that DVC deletes.
    folder = _store_folder()
    location = (folder / "mlruns" / name).as_uri() if folder else None
    return str(client.create_experiment(name, artifact_location=location))


def _run_tags(command: str) -> dict[str, str]:
    tags = {
        "mlflow.source.name": f"csdm {command}",
        "mlflow.source.type": "LOCAL",
        "command": command,
        "csdm.version": __version__,
        "csdm.source": source_hash(),
    }
    if (code := revision()) is not None:
        tags |= {"mlflow.source.git.commit": code.commit, "git.commit": code.commit, "git.dirty": str(code.dirty)}
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
        return parent
    run = client.create_run(experiment, tags={"pipeline": key} | _run_tags("pipeline"), run_name=name or "pipeline")
    for setting, text in flatten(params).items():
        client.log_param(run.info.run_id, setting, text[:PARAM_LENGTH])
    return str(run.info.run_id)
