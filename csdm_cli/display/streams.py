"""Standard output and error as this process found them: closed, cut off by a reader, or unable to show a letter."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

# What a terminal without Unicode shows instead; any other letter becomes "?".
SPELLED = {
    "✓": "ok",
    "✗": "bad",
    "±": "+/-",
    "×": "x",
    "²": "^2",
    "³": "^3",
    "…": "...",
    "≥": ">=",
    "≤": "<=",
    "–": "-",
    "−": "-",
    "·": "*",
    "½": "1/2",
    "√": "sqrt ",
    "Δ": "delta ",
    "Σ": "sum ",
    "α": "alpha",
    "β": "beta",
    "θ": "theta",
    "λ": "lambda",
    "ν": "nu",
    "σ": "sigma",
    "τ": "tau",
    "ω": "omega",
    "ℓ": "l",
    "ε": "epsilon",
    "φ": "phi",
    "ψ": "psi",
    "μ": "mu",
    "κ": "kappa",
    **dict.fromkeys("─━╸╺", "-"),
    **dict.fromkeys("│┃", "|"),
    **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼", "+"),
    **dict.fromkeys("█▉▊▋▌▍▎▏", "#"),
}
HANDLER = "csdm-spelled"
WIDTHS = ("COLUMNS", "LINES", "TERMINAL_WIDTH")  # that rich and Typer read
NARROWEST, WIDEST = 20, 5000


def open_streams() -> None:
    """Make standard output and error fit to print to, whatever this process was started with.

    A closed one becomes the null device, so that no file that is opened later takes its number. A reader that has gone
    (``csdm --help | head -1``) has seen enough: the rest is dropped. Letters that the encoding lacks are spelled.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    codecs.register_error(HANDLER, _spelled)
    sys.stdout, sys.stderr = _fit(sys.stdout, 1), _fit(sys.stderr, 2)
    _forget_impossible_widths()


def sane_width(text: str) -> int | None:
    """The number of columns that ``text``, a variable of the environment, names; None if it names none."""
    if not (text.isascii() and text.isdigit() and int(text[:9])):
        return None
    return min(WIDEST, max(NARROWEST, int(text[:9])))


class _Patient(io.TextIOWrapper):
    """A stream that drops what nobody reads any more, and that fails once, not again when Python closes down."""

    def write(self, text: str, /) -> int:
        """Write ``text``; returns its length."""
        with self._failing_once():
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is held back."""
        with self._failing_once():
            super().flush()

    @contextmanager
    def _failing_once(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())  # what is left goes there
            if not isinstance(error, BrokenPipeError):
                raise


def _fit(stream: TextIO | None, number: int) -> TextIO:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if stream is not None:
        with suppress(OSError, ValueError):
            stream.flush()
    raw = io.FileIO(number, "w", closefd=False)
    lines = number == 2 or raw.isatty()
    return _Patient(io.BufferedWriter(raw), encoding=encoding, errors=HANDLER, line_buffering=lines)


def _spelled(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(SPELLED.get(letter, "?") for letter in letters), error.end


def _forget_impossible_widths() -> None:
    """rich and Typer take these for numbers without asking, and fail on ``²``."""
    for name in WIDTHS:
        if (text := os.environ.get(name)) is not None:
            width = sane_width(text)
            if width is None:
                del os.environ[name]
            elif str(width) != text and name != "LINES":
                os.environ[name] = str(width)
