"""The record of a run: what differs between identical ones (time, machine, commit, cost), beside the artifact."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import torch

from csdm_cli.storage import kinds, outputs
from csdm_cli.storage.bounded import read_json, typed
from csdm_cli.storage.keys import Commit, revision


@dataclass(frozen=True)
class Machine:
    """The machine of a run, as far as speed and rounding are concerned; it does not say whose it was."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    processor: str
    threads: int
    gpu: str | None
    system: str
    python: str


@dataclass(frozen=True)
class RunRecord:
    """One run of a command.

    Attributes:
        finished: UTC time, ISO 8601, to the second.
        wall_seconds: from start to end, teachers not included; of all processes, where one went on from another's
            checkpoint that tells its time.
        peak_memory_bytes: peak of the GPU's allocator on CUDA, else of the process; of the last process.
        machine: see there.
        code: the revision of csdm that ran; None if it was not run from a checkout.
        iterations: optimiser steps within ``wall_seconds``: fewer than all after a resume from a checkpoint without
            its time; None if unknown.
    """

    finished: str
    wall_seconds: float
    peak_memory_bytes: int
    machine: Machine
    code: Commit | None
    iterations: int | None = None


def sidecar_path(artifact: Path) -> Path:
    """``<stem>.run.json`` beside the artifact."""
    return artifact.with_suffix(".run.json")


def record_run(
    wall_seconds: float,
    device: torch.device | str = "cpu",
    *,
    peak: int | None = None,
    iterations: int | None = None,
) -> RunRecord:
    """Describe the run that ends now, and that computed on ``device``.

    ``peak`` is its own peak memory in bytes; without it, that of the process so far counts.
    """
    return RunRecord(
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        wall_seconds=round(wall_seconds, 3),
        peak_memory_bytes=peak_memory(device) if peak is None else peak,
        machine=machine(device),
        code=revision(),
        iterations=iterations,
    )


def write_sidecar(artifact: Path, record: RunRecord) -> Path:
    """Write ``record`` beside ``artifact``; returns where."""
    place = sidecar_path(artifact)
    outputs.write_json(place, asdict(record), kinds.RUN_RECORD)
    return place


def read_sidecar(artifact: Path) -> RunRecord | None:
    """The record beside ``artifact``; None if there is none.

    Raises:
        CsdmError: if it is there, but was not written by csdm.
    """
    place = sidecar_path(artifact)
    if not place.exists():
        return None
    hint = "delete it, the artifact does not need it"
    return typed(read_json(place, hint), RunRecord, place, hint)


def machine(device: torch.device | str = "cpu") -> Machine:
    """This machine, as far as speed is concerned."""
    on_gpu = torch.device(device).type == "cuda"
    return Machine(
        processor=_processor_name(),
        threads=torch.get_num_threads(),
        gpu=torch.cuda.get_device_name(device) if on_gpu else None,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
    )


def peak_memory(device: torch.device | str = "cpu") -> int:
    """Bytes at the highest point so far: CUDA's allocator, else the process's resident memory."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes everywhere but on macOS


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
