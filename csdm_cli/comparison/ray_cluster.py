"""Cells of a comparison as tasks of Ray: on a cluster that is there, else on one of this machine alone.

Ray finds the cluster (``$RAY_ADDRESS``), places tasks by their cores and GPUs, and does the tasks of a lost worker
again. Sets, teachers and students lie where they always do, on a disk that all machines share.
"""

from __future__ import annotations

import os
import platform
import signal
import socket
import tempfile
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from csdm_cli.comparison.executors import Cell, Executor
from csdm_cli.display.console import note
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.runs.distill import ARTIFACTS
from csdm_cli.runs.runtime import Device, Runtime
from csdm_cli.safe_text import counted
from csdm_cli.storage import places
from csdm_cli.storage.keys import source_hash

ResultT = TypeVar("ResultT")
RETRIES = 3  # of a task whose worker or machine is lost
PATIENCE = 20.0  # seconds that cancelled tasks have to write their checkpoints
REACH = 10.0  # seconds that the cluster's address has to answer in; Ray itself tries for minutes
CARRIED = ("CSDM_", "MLFLOW_", "WANDB_")  # variables that a task has from whoever asked for it


@dataclass(frozen=True)
class Site:
    """The place that a task works in, as it is where the comparison was started.

    Attributes:
        folder: working directory.
        variables: those of the environment that csdm and its trackers read.
        marks: files that must be visible.
        source: hash of the code.
        runtime: how cells run.
    """

    folder: Path
    variables: dict[str, str]
    marks: tuple[Path, ...]
    source: str
    runtime: Runtime

    def enter(self) -> None:
        """Work there.

        Raises:
            CsdmError: if this machine does not see its files, or has other code.
        """
        for path in (self.folder, *self.marks):
            if not path.exists():
                shared = path if path == self.folder else path.parent
                raise CsdmError(
                    f"{shared} of the machine that compares is not on {platform.node()}: --executor ray needs the"
                    " working directory and the cache ($CSDM_CACHE) on a disk that all machines share, by one path"
                )
        if source_hash() != self.source:
            raise CsdmError(
                f"{platform.node()} has other code of csdm than the machine that compares: install the same"
            )
        os.chdir(self.folder)
        os.environ.update(self.variables)
        self.runtime.apply()


def _carried_out(site: Site, work: Callable[[], ResultT], *needed: Any) -> ResultT:
    """A cell's work in a process of the cluster; what it needs was made before, for Ray waits for arguments."""
    site.enter()
    return work()


class RayExecutor:
    """Tasks of Ray, all handed in before the first result is waited for."""

    def __init__(self, site: Site, resources: dict[str, float], quiet: bool) -> None:
        import ray

        self.runtime = site.runtime
        self.device = torch.device("cuda" if site.runtime.device is Device.cuda else "cpu")
        self._site, self._quiet = ray.put(site), quiet
        self._task = ray.remote(max_retries=RETRIES, **resources)(_carried_out)
        self._titles: dict[Any, str] = {}  # of all tasks, by what stands for their results
        self._by_key: dict[Hashable, Any] = {}
        self._running: list[Any] = []

    def submit(self, cell: Cell[ResultT]) -> _Task[ResultT]:
        """Hand the cell's needs and the cell to Ray."""
        return _Task(self, self._submit(cell))

    def _submit(self, cell: Cell[Any]) -> Any:
        if cell.key is not None and cell.key in self._by_key:
            return self._by_key[cell.key]
        needed = [self._submit(other) for other in cell.needs]
        made = self._task.options(name=cell.title).remote(self._site, cell.work, *needed)
        self._titles[made] = cell.title
        self._running.append(made)
        if cell.key is not None:
            self._by_key[cell.key] = made
        return made

    def wait(self, wanted: Any) -> Any:
        """The result of a task; on the way, each that ends is told of.

        Raises:
            CsdmError: if Ray lost it for good; and whatever the work raised.
        """
        import ray

        while wanted in self._running:
            ended, self._running = ray.wait(self._running, num_returns=1)
            done = len(self._titles) - len(self._running)
            for one in ended:
                note(f"{done} of {len(self._titles)} tasks: {self._titles[one]}", quiet=self._quiet)
        try:
            return ray.get(wanted)
        except ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        except ray.exceptions.RayError as error:
            first = str(error).strip().splitlines()[0]
            raise CsdmError(f"Ray lost this task, tried {RETRIES + 1} times: {first}") from None

    def give_up(self) -> None:
        """Cancel what is unfinished, and let running tasks write their checkpoints."""
        import ray

        left = list(self._running)
        if not left:
            return
        note("cancelling what is unfinished", quiet=self._quiet)
        for one in reversed(left):  # those that wait for others first, so that none of them starts now
            ray.cancel(one)
        ray.wait(left, num_returns=len(left), timeout=PATIENCE)


@dataclass(frozen=True)
class _Task(Generic[ResultT]):
    """A cell that Ray has."""

    executor: RayExecutor
    reference: Any

    def result(self) -> ResultT:
        """Wait for it."""
        found: ResultT = self.executor.wait(self.reference)
        return found


def _cause(error: Any) -> BaseException:
    """The error that the work raised, through all tasks that needed it."""
    cause = error.cause
    while hasattr(cause, "cause"):
        cause = cause.cause
    return cause if isinstance(cause, BaseException) else CsdmError(str(error).strip().splitlines()[-1])


@contextmanager
def ray_cluster(runtime: Runtime) -> Iterator[Executor]:
    """The cluster of ``$RAY_ADDRESS`` or one of this machine alone; at the end unfinished tasks are cancelled.

    Raises:
        UsageError: if Ray is not installed, or the cluster has no GPU where one is asked for.
        CsdmError: if there is no cluster at that address.
    """
    ray = _connected()
    try:
        own = _on_cluster(runtime, ray.cluster_resources())
        cores = own.threads or torch.get_num_threads()
        resources = {"num_cpus": float(cores), "num_gpus": float(own.device is Device.cuda)}
        _tell(ray, resources, runtime.quiet)
        with _site(replace(own, threads=cores)) as site:
            executor = RayExecutor(site, resources, runtime.quiet)
            try:
                yield executor
            finally:
                executor.give_up()
    finally:
        ray.shutdown()


def _connected() -> Any:
    """The module ``ray``, connected."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody asked to send anything
    try:
        import ray
    except ImportError:
        raise UsageError("--executor ray needs Ray: run pip install 'csdm-cli[cluster]'") from None
    _refuse_silent(os.environ.get("RAY_ADDRESS", ""))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=False, namespace="csdm")
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        where = f"at $RAY_ADDRESS ({asked})" if (asked := os.environ.get("RAY_ADDRESS")) else "on this machine"
        raise CsdmError(f"no Ray cluster {where}: {first}") from None
    finally:
        for number, handler in before.items():  # Ctrl-C and SIGTERM stay what they were to csdm
            signal.signal(number, handler)
    return ray


def _refuse_silent(address: str) -> None:
    """Raises: CsdmError if ``address`` names a host and a port where nobody answers."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not (host and port.isdecimal()):
        return  # "auto" and the like, which Ray looks for on this machine
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CsdmError(f"no Ray cluster at $RAY_ADDRESS ({address}): {reason}") from None


def _on_cluster(runtime: Runtime, resources: dict[str, float]) -> Runtime:
    """How a cell runs: silently, and on a GPU where the cluster has some and none other is asked for."""
    gpus = resources.get("GPU", 0)
    if runtime.device is Device.cuda and not gpus:
        raise UsageError("--device cuda: the Ray cluster has no GPU; use --device cpu or auto")
    device = Device.cuda if gpus and runtime.device is not Device.cpu else Device.cpu
    return replace(runtime, device=device, quiet=True)


def _tell(ray: Any, resources: dict[str, float], quiet: bool) -> None:
    """The cluster in a line, and a warning where none of its machines can take a task."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    each = counted(int(resources["num_cpus"]), "core") + (" and a GPU" if resources["num_gpus"] else "")
    note(f"Ray: {counted(len(nodes), 'machine')}, a task has {each}", quiet=quiet)
    wanted = {"CPU": resources["num_cpus"], "GPU": resources["num_gpus"]}
    if not any(all(node.get(name, 0) >= amount for name, amount in wanted.items()) for node in nodes):
        note(f"warning: none of them has {each}: tasks wait for one that has; --threads N asks for less", quiet=quiet)


@contextmanager
def _site(runtime: Runtime) -> Iterator[Site]:
    """The site of this comparison, with marks that tasks look for."""
    folder, cache = Path.cwd().resolve(), places.cache_dir().resolve()
    variables = {name: value for name, value in os.environ.items() if name.startswith(CARRIED)}
    marks = []
    try:
        for place in (folder / ARTIFACTS, cache):
            place.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".shared-", suffix=".tmp", dir=place)
            os.close(handle)
            marks.append(Path(name))
        yield Site(folder, variables | {"CSDM_CACHE": str(cache)}, tuple(marks), source_hash(), runtime)
    finally:
        for mark in marks:
            with suppress(OSError):
                mark.unlink()
