"""A run as one HTML page that needs no network: its pictures, its style and its few lines of script are inside it.

The page is made of plain values; who reads artifacts and results into them is :mod:`csdm_cli.report.content`.
All texts are escaped by the template, and a content security policy forbids whatever the page does not bring itself.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from csdm_cli.safe_text import shown

TEMPLATE, STYLE, SCRIPT = "report_page.html", "report_page.css", "report_page.js"
MOST_POINTS = 500  # of a curve
TOPS = (1, 2, 5, 10, 20, 25, 40, 50, 60, 80, 100)  # where an axis in % may end


@dataclass(frozen=True)
class Picture:
    """A PNG and what it shows; ``side`` is its height in pixels."""

    png: bytes
    text: str
    side: int = 0

    @property
    def uri(self) -> str:
        """The picture within the page."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclass(frozen=True)
class Bar:
    """An accuracy in %, with the half-width of its 95 % interval where it is known."""

    name: str
    mean: float
    half: float | None = None
    own: bool = False

    @property
    def text(self) -> str:
        """As a person reads it."""
        return f"{self.mean:.1f}" + ("" if self.half is None else f" ± {self.half:.1f}")


@dataclass(frozen=True)
class Chart:
    """Bars on one axis from 0 to ``top``."""

    title: str
    bars: tuple[Bar, ...]
    caption: str = ""

    @property
    def top(self) -> float:
        """The end of the axis, in %."""
        most = max((bar.mean + (bar.half or 0.0) for bar in self.bars), default=100.0)
        return next((top for top in TOPS if top >= most), 100)


@dataclass(frozen=True)
class Table:
    """Rows of texts under a header; the first column names them."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


@dataclass(frozen=True)
class ClassShown:
    """A class: its stored images, real images, and how well students know it."""

    name: str
    real: int
    stored: int
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Gallery:
    """A distilled set, class after class from head to tail."""

    title: str
    classes: tuple[ClassShown, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Confusion:
    """Shares of each true class (row) that were given each label (column)."""

    title: str
    names: tuple[str, ...]
    shares: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Line:
    """A curve by name: a value for each step."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Curves:
    """Lines over the same steps, on one logarithmic axis."""

    title: str
    lines: tuple[Line, ...]

    @property
    def steps(self) -> int:
        """The number of steps of the longest line."""
        return max(len(line.values) for line in self.lines)

    @property
    def low(self) -> float:
        """The least positive value, which the axis begins with."""
        return min((value for line in self.lines for value in line.values if value > 0), default=1.0)

    @property
    def high(self) -> float:
        """The largest finite value, which the axis ends with."""
        return max((value for line in self.lines for value in line.values if 0 < value < math.inf), default=1.0)

    def points(self, line: Line) -> str:
        """A polyline within 1000 × 300, through at most ``MOST_POINTS`` of the values."""
        low, high, last = self.low, self.high, max(1, self.steps - 1)
        span = math.log(high / low) or 1.0
        every = -(-len(line.values) // MOST_POINTS)
        found = []
        for step, value in list(enumerate(line.values))[::every]:
            if low <= value < math.inf:
                found.append(f"{1000 * step / last:.1f},{296 - 292 * math.log(value / low) / span:.1f}")
        return " ".join(found)


@dataclass(frozen=True)
class Facts:
    """Names with their texts."""

    title: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Page:
    """Everything on the page, in this order; an empty part is left out.

    Attributes:
        title: dataset and method, in words.
        headline: numbers for a first glance: (number, what it is).
        galleries: the distilled images.
        accuracy: the set beside its controls, a chart and a table each.
        classes: accuracy of every class from head to tail.
        confusions: confusion matrices.
        others: other architectures, comparisons.
        losses: curves.
        facts: cost and provenance.
        commands: lines to type to make it again, in blocks.
    """

    title: str
    headline: tuple[tuple[str, str], ...] = ()
    galleries: tuple[Gallery, ...] = ()
    accuracy: tuple[Chart | Table, ...] = ()
    classes: tuple[Chart, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    others: tuple[Chart, ...] = ()
    losses: tuple[Curves | Picture, ...] = ()
    facts: tuple[Facts, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()


def render(page: Page) -> str:
    """The page as HTML; equal contents give equal bytes."""
    from jinja2 import DictLoader, Environment, StrictUndefined

    environment = Environment(
        loader=DictLoader({TEMPLATE: _part(TEMPLATE)}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    script = _part(SCRIPT)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    values = {"page": page, "style": _trusted(_part(STYLE)), "script": _trusted(script), "script_hash": digest}
    return environment.get_template(TEMPLATE).render(values, kind=_kind, sections=_sections(page))


def _sections(page: Page) -> Sequence[tuple[str, str]]:
    """Anchor and name of each part that is there."""
    parts = {
        "images": ("Images", page.galleries),
        "accuracy": ("Accuracy", page.accuracy),
        "classes": ("Classes", page.classes),
        "confusion": ("Confusion", page.confusions),
        "others": ("Elsewhere", page.others),
        "loss": ("Loss", page.losses),
        "facts": ("Cost and provenance", page.facts),
        "commands": ("Commands", page.commands),
    }
    return [(anchor, name) for anchor, (name, content) in parts.items() if content]


def _kind(part: Any) -> str:
    return type(part).__name__


def _shown(value: Any) -> Any:
    """Texts of strangers with everything unseen escaped; the template itself escapes HTML."""
    from markupsafe import Markup

    return shown(value, most=100_000_000) if isinstance(value, str) and not isinstance(value, Markup) else value


def _part(name: str) -> str:
    return resources.files("csdm_cli.display").joinpath(name).read_text(encoding="utf-8")


def _trusted(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # our own file
