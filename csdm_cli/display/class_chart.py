"""A bar chart of class sizes for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

MAX_ROWS = 30


def count_chart(class_names: Sequence[str], counts: Sequence[int]) -> RenderableType:
    """One bar per class, in label order, scaled to the largest; many classes are thinned out evenly.

    The bars take whatever width the terminal leaves, and are plain blocks where there is no colour.
    """
    from rich.bar import Bar

    from csdm_cli.display.tables import TextTable

    largest = max(counts)
    table = TextTable(box=None, padding=(0, 1), collapse_padding=True, show_header=False, pad_edge=False, expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=24)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(ratio=1)
    rows = _evenly(len(counts), MAX_ROWS)
    for label in rows:
        bar = Bar(size=largest, begin=0, end=counts[label], color="cyan")
        table.add_row(class_names[label], f"{counts[label]:,}", bar)
    if len(rows) < len(counts):
        table.caption = f"{len(rows)} of {len(counts)} classes shown"
    return table


def _evenly(total: int, most: int) -> list[int]:
    """All of ``range(total)``, or ``most`` of it at equal distances, first and last included."""
    if total <= most:
        return list(range(total))
    return [round(index * (total - 1) / (most - 1)) for index in range(most)]
