"""Cells are text, letter for letter; a table too wide for its terminal becomes a list that loses nothing."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console
from rich.text import Text

from csdm_cli.display.tables import MOST_IN_CELL, Seen, TextTable, facts_table, figures_table, texts_table


def shown(table, width: int = 80) -> str:
    out = StringIO()
    Console(file=out, width=width, color_system=None).print(table)
    return out.getvalue()


def table_of(rows: dict[str, list[str]]) -> TextTable:
    table = figures_table("set", ["test accuracy", "storage"])
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def test_markup_in_a_cell_is_text_and_styles_are_kept():
    table = texts_table("name", ["text"])
    table.add_row("[bold]x[/]", Text("plain"))
    assert "[bold]x[/]" in shown(table) and "plain" in shown(table)


def test_a_letter_that_cannot_be_seen_is_escaped_and_a_long_cell_cut():
    table = facts_table()
    table.add_row("a\x1b[31mb", "x" * (2 * MOST_IN_CELL))
    text = shown(table)
    assert "\x1b" not in text and "\\x1b" in text and text.count("x") < MOST_IN_CELL + 100
    assert "\x1b" not in shown(Seen("a\x1bb"))


@pytest.mark.parametrize("width", [80, 12])
def test_every_cell_is_there_at_any_width(width):
    text = shown(table_of({"dm": ["51.2", "30 kB"], "csdm": ["60.1", "31 kB"]}), width)
    assert [cell for cell in ("dm", "51.2", "30 kB", "csdm", "60.1", "31 kB") if cell not in text] == []
    assert max(map(len, text.splitlines())) <= max(width, len("test accuracy  51.2") + 4)
    assert ("accuracy" in text.splitlines()[0]) == (width == 80), "a head, or a list"


@pytest.mark.parametrize("width", range(38, 70))
def test_names_and_figures_stay_whole_at_middle_widths(width):
    """A figure that is never cut takes its whole length before a name is left less than it needs."""
    rows = {"csdm (hard labels)": ["55.2 ± 0.8", "10 images per class"], "dm": ["54.7 ± 0.6", "10 images per class"]}
    text = shown(table_of(rows), width)
    assert "…" not in text and text.count("10 images per class") == 2
    assert all(word in text for word in ("csdm", "labels)", "dm", "55.2 ± 0.8", "54.7 ± 0.6"))
