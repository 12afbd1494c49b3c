"""``csdm`` in processes of its own, which a signal ends at a chosen moment."""

from __future__ import annotations

import os
import signal
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.warm import start

PATIENCE = 600  # seconds, on however busy a machine


@dataclass(frozen=True)
class Moment:
    """Just before the ``number``-th (from 0) file is safe, just after the ``number``-th step of a loop, or in time.

    A time is in hundredths of a second from the start.
    """

    kind: str  # "write", "step" or "time"
    number: int


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, negative for the signal that killed it, and what it printed."""

    code: int
    stderr: str


def csdm_until(
    arguments: list[str],
    folder: Path,
    cache: Path,
    moment: Moment | None,
    number: signal.Signals,
    environment: dict[str, str] | None = None,
) -> Ended:
    """Run ``csdm ARGUMENTS`` in ``folder``, untracked unless told otherwise; at ``moment`` it gets a signal."""
    log = folder / "stderr.txt"
    process = start(run_in_place, arguments, folder, cache, moment, int(number), log, environment or {})
    if moment is not None and moment.kind == "time":
        process.join(moment.number / 100)
        if process.exitcode is None:
            os.kill(process.pid, number)
    process.join(PATIENCE)
    assert process.exitcode is not None, "the process hangs"
    text = log.read_text() if log.exists() else ""
    log.unlink(missing_ok=True)
    return Ended(process.exitcode, text)


def run_in_place(
    arguments: list[str],
    folder: Path,
    cache: Path,
    moment: Moment | None,
    number: int,
    log: Path,
    environment: dict[str, str],
) -> None:
    os.chdir(folder)
    os.environ |= {"CSDM_CACHE": str(cache), "CSDM_TRACKING": "none", "OMP_NUM_THREADS": "1"} | environment
    os.environ.pop("CSDM_PARAMS", None)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    from csdm_cli import __main__ as csdm

    if moment is not None:
        _arm(moment, number)
    sys.argv = ["csdm", *arguments]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    csdm.main()


def _arm(moment: Moment, number: int) -> None:
    from csdm_cli.display import console
    from csdm_cli.storage import atomic

    seen = {"write": 0, "step": 0}

    def count(kind: str) -> None:
        if kind == moment.kind and seen[kind] == moment.number:
            os.kill(os.getpid(), number)
        seen[kind] += 1

    real_fsync, real_update = os.fsync, console.Progress.update

    def fsync(handle: int) -> None:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            count("write")
        real_fsync(handle)

    def update(self, step, **values):
        real_update(self, step, **values)
        count("step")

    atomic.os.fsync = fsync
    console.Progress.update = update
