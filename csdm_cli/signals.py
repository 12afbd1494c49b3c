"""Ctrl-C before and after the part of a command that has something to clean up.

While csdm is being imported, and once a result is written, there is nothing to clean: the process ends at once. In
between, Python's own KeyboardInterrupt leaves through ``finally`` blocks.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

INTERRUPTED = 128 + int(signal.SIGINT)

_interrupts: list[int] = []


@contextmanager
def stops_at_once() -> Iterator[None]:
    """From here on Ctrl-C ends the process with a line and exit code 130, but for what :func:`interruptible` encloses.

    After the block, while Python closes down, it ends the process with the exit code that it was about to have. Where
    SIGINT is ignored (a job in the background), it stays so.
    """
    if signal.getsignal(signal.SIGINT) not in (signal.default_int_handler, signal.SIG_DFL):
        yield
        return
    signal.signal(signal.SIGINT, _stop)
    try:
        yield
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        if code == INTERRUPTED:  # Python may have noted an interrupt for itself, and would end by the signal instead
            atexit._run_exitfuncs()
            _leave_with(code)
        signal.signal(signal.SIGINT, lambda number, frame: _leave_with(code))
        raise
    except KeyboardInterrupt:
        _stop(signal.SIGINT, None)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block Ctrl-C is a KeyboardInterrupt again, so that what was begun is cleaned up."""
    if signal.getsignal(signal.SIGINT) is not _stop:
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _stop)


def was_interrupted() -> bool:
    """Whether Ctrl-C was pressed within :func:`interruptible`, whatever became of the KeyboardInterrupt."""
    return bool(_interrupts)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _interrupts.append(number)
    raise KeyboardInterrupt


def _stop(number: int, frame: FrameType | None) -> None:
    with suppress(OSError):
        os.write(2, b"interrupted\n")  # print may be in the middle of a line
    _leave_with(INTERRUPTED)


def _leave_with(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, RuntimeError, AttributeError):
            stream.flush()
    os._exit(code)
