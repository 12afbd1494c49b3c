"""How failures end a command: one line on stderr and an exit code, with everything cleaned up before."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from csdm_cli.cli.narrow import fill_the_width, plain_if_narrow
from csdm_cli.display.console import aloud
from csdm_cli.errors import MISTAKE, CsdmError, in_words
from csdm_cli.parallel import seat
from csdm_cli.safe_text import shown
from csdm_cli.signals import INTERRUPTED, interruptible, was_interrupted

MOST_IN_ERROR = 2000  # characters of one line
# The working folder as it may be typed and is then told: where a message begins, as what something is in, or before a
# colon; elsewhere it may be a word of a command.
A_MERE_DOT = re.compile(r"(?:^|(?<= in )(?:the folder )?)\.(?=[:;,]? |[:;,]?$)|(?<= )\.(?=:(?: |$))")


class FriendlyGroup(TyperGroup):
    """A group of commands whose expected failures are one line, never a traceback, and whose help fits the terminal."""

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        """Read the command line."""
        fill_the_width(self)
        plain_if_narrow(self)
        return super().make_context(*arguments, **named)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; print what a user can act on as ``error: ...`` and exit with its code."""
        try:
            with interruptible(), aloud():
                _refuse_a_lost_folder()
                return super().invoke(ctx)
        except KeyboardInterrupt:
            _interrupted()
        except Exception as error:
            if was_interrupted():  # and an import or a library made another error of it
                _interrupted()
            told = _in_one_line(error, ctx)
            if told is None:
                raise
            _fail(*told)


def _interrupted() -> None:
    if seat.leads():
        print("interrupted", file=sys.stderr)
    raise typer.Exit(INTERRUPTED) from None


def _in_one_line(error: Exception, ctx: Any) -> tuple[str, int] | None:
    """The line that a user can act on, and the exit code; None where the fault may be ours."""
    if isinstance(error, CsdmError):
        return str(error), error.exit_code
    if isinstance(error, TyperException):  # an option or argument that does not parse
        return _unparsed(error, ctx), error.exit_code
    if isinstance(error, (OSError, MemoryError, RuntimeError)):
        text = in_words(error, _options(ctx))
        return None if text is None else (text, CsdmError.exit_code)
    return None


def _refuse_a_lost_folder() -> None:
    """torch's libraries abort the process where the working directory is gone."""
    try:
        Path.cwd()
    except OSError as error:
        raise CsdmError(f"the working directory cannot be used ({error.strerror}): change to another one") from error


def _options(ctx: Any) -> list[str]:
    """The options of the command that ran, e.g. ``--ipc``."""
    command = getattr(ctx.command, "commands", {}).get(ctx.invoked_subcommand)
    return [option for parameter in getattr(command, "params", ()) for option in parameter.opts]


def _unparsed(error: TyperException, ctx: Any) -> str:
    """Typer's message, in one line with the command whose help says more."""
    where = getattr(error, "ctx", None) or ctx
    text = " ".join(error.format_message().replace("Value error, ", "").split()).rstrip(".")
    return f"{text}; see {where.command_path} --help"


def _fail(text: str, code: int) -> None:
    if seat.first_to_fail():
        print(f"error: {_listed(A_MERE_DOT.sub('this folder', text))}", file=sys.stderr)
    raise typer.Exit(code) from None


def end_cleanly_on_signals() -> None:
    """Make SIGTERM and SIGHUP leave through ``finally`` blocks, with exit code 128 + signal."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one must not cut the cleaning short
    raise SystemExit(128 + number)


def _listed(text: str) -> str:
    """``text`` in one line, or in a line for each of the several mistakes that it lists."""
    return MISTAKE.join(shown(part, MOST_IN_ERROR) for part in text.split(MISTAKE))
