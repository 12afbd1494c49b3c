"""Output for a person: results on stdout, everything else on stderr.

Notes and progress are printed by nobody but who asked for them: the ``csdm`` command does, with :func:`aloud`, and so
does a notebook that wants to hear of a run. Elsewhere the package is silent.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, SupportsFloat

from csdm_cli.display.outlook import Outlook
from csdm_cli.display.streams import sane_width
from csdm_cli.safe_text import shown, shown_lines

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

BAR_SECONDS = 0.5
LINE_SECONDS = 10.0
PIPE_COLUMNS = 160  # a table in a pipe is cut to its width: data would be lost at rich's 80


Listener = Callable[[str], None]

_mutes: list[None] = []
_listeners: list[Listener] = []  # the innermost last


def _on_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def aloud(listener: Listener = _on_stderr) -> Iterator[None]:
    """Within the block ``listener`` hears all notes, and now and then a line of progress; stderr shows a bar too."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.pop()


@contextmanager
def muted() -> Iterator[None]:
    """Within the block nothing here prints: another process of the same job speaks for this one."""
    _mutes.append(None)
    try:
        yield
    finally:
        _mutes.pop()


def note(text: str, *, quiet: bool = False) -> None:
    """One line for whoever listens (see :func:`aloud`); nothing when ``quiet``."""
    if _listeners and not (quiet or _mutes):
        _listeners[-1](shown_lines(text))


def emit(value: Mapping[str, Any], render: Callable[[], Sequence[RenderableType]], *, as_json: bool) -> None:
    """Print a command's result on stdout: ``value`` as one JSON object, or what ``render`` makes of it.

    JSON has no NaN and no infinity: they become null.
    """
    if _mutes:
        return
    if as_json:
        print(json.dumps(_finite(value), indent=2, default=str), flush=True)
        return
    from rich.console import Console

    from csdm_cli.display.tables import Seen

    asked = sane_width(os.environ.get("COLUMNS", ""))
    width = None if sys.stdout.isatty() else asked or PIPE_COLUMNS
    console = Console(file=sys.stdout, highlight=False, emoji=False, width=width)
    for part in render():
        if isinstance(part, str):
            console.print(_parsed(part) if asked is None else _wrapped(_parsed(part), asked), soft_wrap=True)
        else:
            console.print(Seen(part))


def _wrapped(text: Text, width: int) -> Text:
    """``text`` in lines of ``width`` columns where its words are no longer: a path cut in two cannot be copied."""
    lines: list[Text] = []
    for line in text.split("\n", allow_blank=True):
        breaks = [0]
        for word in re.finditer(r"\S+", line.plain):
            if word.end() - breaks[-1] > width and word.start() > breaks[-1]:
                breaks.append(word.start())
        lines += line.divide(breaks[1:])
    for line in lines:
        line.rstrip()
    return type(text)("\n").join(lines)


def _parsed(text: str) -> Text:
    """``text`` of our own, with markup; as it is, if something in it that looks like markup is none."""
    from rich.errors import MarkupError
    from rich.text import Text

    plain = shown_lines(text)
    try:
        return Text.from_markup(plain, emoji=False)
    except MarkupError:
        return Text(plain)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


class Progress:
    """Live progress of a loop: a bar on a terminal, a plain line now and then elsewhere.

    Attributes:
        overhead_seconds: time spent inside calls so far.
    """

    def __init__(
        self,
        description: str,
        total: int,
        start: int,
        show: Callable[[Progress], None] | None = None,
        every: float = math.inf,
        first: float = math.inf,
        outlook: Outlook | None = None,
    ) -> None:
        """``show`` is called at the first update after ``first`` seconds, then once in ``every`` seconds."""
        self._outlook = outlook
        self.description = shown(description)
        self.total = total
        self.step = start
        self.overhead_seconds = 0.0
        self._values: Mapping[str, SupportsFloat] = {}
        self._show = show
        self._every = every
        self._started = time.perf_counter()
        self._start = start
        self._samples = deque([(self._started, start)], maxlen=30)
        self._due = self._started + first

    def update(self, step: int, **values: SupportsFloat) -> None:
        """Tell that ``step`` of the loop is done. ``values`` (floats or 0-d tensors) are read only when shown."""
        now = time.perf_counter()
        self.step, self._values = step, values
        if self._outlook is not None and not self._outlook.done:
            for remark in self._outlook.after(step, now):
                note(remark)
        if now >= self._due and self._show is not None:
            self._due = now + self._every
            self._samples.append((now, step))
            self._show(self)
        self.overhead_seconds += time.perf_counter() - now

    @property
    def speed(self) -> float:
        """Steps per second lately; 0 before the second sample."""
        (then, first), (now, last) = self._samples[0], self._samples[-1]
        return (last - first) / (now - then) if now > then else 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._started

    def figures(self) -> str:
        """The shown values, the speed and the time left, as far as they are known."""
        parts = [f"{name} {float(value):.4g}" for name, value in self._values.items()]
        if self.speed:
            left = (self.total - self.step) / self.speed
            parts += [_speed(self.speed), f"{timedelta(seconds=round(left))} left"]
        return "  ".join(parts)

    def summary(self) -> str:
        """The number of steps of this process, and their rate."""
        done, seconds = self.step - self._start, self.elapsed
        rate = f", {_speed(done / seconds)}" if done and seconds > 0 else ""
        return f"{self.description}: {self.step}/{self.total} in {timedelta(seconds=round(seconds))}{rate}"


def _speed(per_second: float) -> str:
    return f"{per_second:.3g} it/s" if per_second >= 1 else f"{1 / per_second:.3g} s/it"


_shown: list[Progress] = []


@contextmanager
def progress(
    description: str, total: int, *, start: int = 0, quiet: bool = False, advice: str = ""
) -> Iterator[Progress]:
    """Show the progress of a loop of ``total`` steps of which ``start`` were done before (a resumed run).

    One progress is shown at a time: inside another one it stays silent. ``advice`` is how a long loop could be faster.
    """
    if quiet or _shown or _mutes or not _listeners:
        yield Progress(description, total, start)
        return
    a_bar = _listeners[-1] is _on_stderr and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    show = _on_terminal if a_bar else _as_lines
    if start:
        note(f"{description}: goes on from step {start:,} of {total:,}")
    with show(description, total, start, Outlook(description, total, advice)) as reporter:
        _shown.append(reporter)
        try:
            yield reporter
        finally:
            _shown.remove(reporter)


@contextmanager
def _as_lines(description: str, total: int, start: int, outlook: Outlook) -> Iterator[Progress]:
    def show(state: Progress) -> None:
        percent = f"{state.step / state.total:.0%}" if state.total else ""
        note("  ".join(filter(None, [f"{description}: {state.step}/{total}", percent, state.figures()])))

    reporter = Progress(description, total, start, show, LINE_SECONDS, LINE_SECONDS, outlook)
    yield reporter
    note(reporter.summary())


@contextmanager
def _on_terminal(description: str, total: int, start: int, outlook: Outlook) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
    ]
    # No refresh thread, which would take time from the loop; stdout stays untouched, for results go there.
    bar = Bar(*columns, console=Console(stderr=True), auto_refresh=False, redirect_stdout=False, transient=True)
    task = bar.add_task(shown(description), total=total, completed=start, figures="")

    def show(state: Progress) -> None:
        bar.update(task, completed=state.step, figures=state.figures(), refresh=True)

    reporter = Progress(description, total, start, show, BAR_SECONDS, 0, outlook)
    with bar:
        yield reporter
    note(reporter.summary())
