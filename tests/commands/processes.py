"""``csdm`` in processes of its own, which a signal ends at a chosen moment.

They are forked from a server that has torch loaded, so that a start costs milliseconds, not seconds.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

COMMANDS = ["make_lt", "pretrain", "distill", "evaluate"]
SLOW = [
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "sklearn.datasets",
    "safetensors.torch",
    "filelock",
    "torch._dynamo",
]
PRELOADED = ["csdm_cli.cli.app", *(f"csdm_cli.commands.{name}" for name in COMMANDS), *SLOW]


@dataclass(frozen=True)
class Moment:
    """Just before the ``number``-th (from 0) file is safe, or just after the ``number``-th step of a loop."""

    kind: str  # "write" or "step"
    number: int


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, negative for the signal that killed it, and what it printed."""

    code: int
    stderr: str


def csdm_until(arguments: list[str], folder: Path, cache: Path, moment: Moment | None, number: signal.Signals) -> Ended:
    """Run ``csdm ARGUMENTS`` in ``folder``; at ``moment`` it gets the signal ``number``."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    log = folder / "stderr.txt"
    process = context.Process(target=_run, args=(arguments, folder, cache, moment, int(number), log))
    process.start()
    process.join(120)
    assert process.exitcode is not None, "the process hangs"
    text = log.read_text()
    log.unlink()
    return Ended(process.exitcode, text)


def _run(arguments: list[str], folder: Path, cache: Path, moment: Moment | None, number: int, log: Path) -> None:
    os.chdir(folder)
    os.environ |= {"CSDM_CACHE": str(cache), "CSDM_TRACKING": "none", "OMP_NUM_THREADS": "1"}
    os.environ.pop("CSDM_PARAMS", None)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    from csdm_cli.cli import app

    if moment is not None:
        _arm(moment, number)
    sys.argv = ["csdm", *arguments]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    app.main()


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
