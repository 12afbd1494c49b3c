"""Tables on a terminal whose cells are text, not markup: whatever a file says stays within its cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from csdm_cli.safe_text import shown, shown_lines

MOST_IN_CELL = 5000  # characters
WIDE = 100_000


class TextTable(Table):
    """A table whose cells of type ``str`` are shown letter for letter; styled cells are given as ``Text``."""

    def add_row(self, *cells: RenderableType | None, **how: Any) -> None:
        """Add a row of ``cells``; ``how`` is its style and whether a section ends with it."""
        plain = [Text(shown(cell, MOST_IN_CELL)) if isinstance(cell, str) else cell for cell in cells]
        super().add_row(*plain, **how)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table; as a list, row by row, where its columns do not fit side by side."""
        for column in self.columns:
            if column.no_wrap:  # nor is its head ever cut
                wide, cells = options.update(max_width=WIDE), (column.header, *column.cells)
                column.min_width = max(Measurement.get(console, wide, cell).maximum for cell in cells)
        least = Measurement.get(console, options.update(max_width=WIDE), self).minimum
        if not self.show_header or least <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        first, *others = self.columns
        heads = [column.header for column in others]
        for number, name in enumerate(first.cells):
            yield name
            facts = Table.grid(padding=(0, 2))
            for head, column in zip(heads, others, strict=True):
                facts.add_row("", head, list(column.cells)[number])
            yield facts


def figures_table(first: str, columns: Sequence[str]) -> TextTable:
    """A narrow table without lines: names that may wrap, then columns of figures that never do."""
    table = _without_lines()
    table.add_column(first, min_width=min(16, max(1, len(first))), overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def texts_table(first: str, columns: Sequence[str]) -> TextTable:
    """A table without lines: names that stay whole, then columns of texts that wrap."""
    table = _without_lines()
    table.add_column(first, no_wrap=True)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def facts_table() -> TextTable:
    """Two columns without a head: names, and what is known of each."""
    table = TextTable(box=None, padding=(0, 2), collapse_padding=True, show_header=False, pad_edge=False)
    table.add_column(overflow="fold", style="dim", max_width=32)
    table.add_column(overflow="fold")
    return table


class Seen:
    """``inner`` with every letter that cannot be seen escaped, whoever put it there."""

    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._inner, options):
            yield segment if segment.control else Segment(shown_lines(segment.text), segment.style)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._inner)


def _without_lines() -> TextTable:
    return TextTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
