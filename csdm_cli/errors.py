"""Errors that reach the user as one line and an exit code, never as a traceback."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator
from contextlib import contextmanager

SAVES_MEMORY = ("--memory-budget", "--size", "--n-max", "--ipc", "--ipcs", "--batch", "--width")
MISTAKE = "\n  "  # begins each of several mistakes that one message lists; else a message is one line


class CsdmError(Exception):
    """A failed run: the data, an artifact or the machine is at fault. Exit code 1.

    The message says in one line what is wrong and what to do about it.
    """

    exit_code = 1


class UsageError(CsdmError):
    """A request that cannot be carried out as written: an option or a setting is wrong. Exit code 2."""

    exit_code = 2


@contextmanager
def asked_by(option: str) -> Iterator[None]:
    """Name the option in front of what the block refuses in terms of its own."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from error


def in_words(error: OSError | MemoryError | RuntimeError, options: Collection[str] = ()) -> str | None:
    """The machine's refusal in words; None for anything that may be a fault of ours.

    Args:
        error: the error raised.
        options: the command's own, of which those that save memory are named.
    """
    if isinstance(error, OSError):
        return _of_the_system(error)
    # torch's own error classes are told by name, for torch may not be imported.
    text = str(error)
    if isinstance(error, MemoryError) or "can't allocate memory" in text or type(error).__name__ == "OutOfMemoryError":
        return f"out of memory: {_less_memory(options)}"
    return None


def reason_of(error: BaseException) -> str:
    """The error's own words in one line, to be put into a sentence: of the system's without number and file.

    Of urllib's errors those of what they are about.
    """
    cause = getattr(error, "reason", None)
    if isinstance(cause, BaseException):
        return reason_of(cause)
    if isinstance(error, OSError) and (told := error.strerror or cause):
        return str(told)
    return " ".join(str(error).split()) or type(error).__name__


def _of_the_system(error: OSError) -> str | None:
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{where}: free some space and run again"
    if error.errno == errno.EFBIG:
        return f"a file may not grow any further{where}: raise the limit (`ulimit -f`) and run again"
    if error.filename and error.strerror and not isinstance(error, BrokenPipeError):
        return f"{error.filename}: {error.strerror}"
    return None


def _less_memory(options: Collection[str]) -> str:
    known = [option for option in SAVES_MEMORY if option in options]
    if not known:
        return "close other programs, or use a machine with more"
    *others, last = known
    return f"a smaller {', '.join(others)} or {last} needs less" if others else f"a smaller {last} needs less"
