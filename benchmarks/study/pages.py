"""Parts of a page between marks, and pictures that carry a hash of their numbers."""

from __future__ import annotations

import io
import re
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from csdm_cli.storage import atomic


def with_part(page: str, name: str, text: str) -> str:
    """``page`` with ``text`` between ``<!-- NAME -->`` and ``<!-- end -->``."""
    start = f"<!-- {name} -->\n"
    part = re.compile(re.escape(start) + r".*?(?=<!-- end -->)", re.DOTALL)
    return part.sub(lambda _: f"{start}{text}\n", page)


def new_axes(width: float, height: float) -> Axes:
    """Axes alone on a figure of so many inches."""
    (only,) = new_panels(width, height, 1)
    return only


def new_panels(width: float, height: float, columns: int) -> list[Axes]:
    """Axes side by side, of the same lines, on a figure of so many inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return list(figure.subplots(1, columns, sharey=True, squeeze=False)[0])


def save(axes: Axes, path: Path, key: str) -> None:
    """The figure of ``axes`` as PNG, described by ``key``; the same numbers give the same bytes."""
    buffer = io.BytesIO()
    figure = axes.figure
    assert isinstance(figure, Figure)
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None, "Description": key})
    atomic.write_bytes(path, buffer.getvalue())
