"""``csdm ledger``: our measured rows, and the papers' values beside them."""

from __future__ import annotations

from pathlib import Path

from rich.console import RenderableType

from csdm_cli.display.console import emit, note
from csdm_cli.display.tables import figures_table
from csdm_cli.ledger.overview import overview_of, refresh_document
from csdm_cli.ledger.protocol import Protocol
from csdm_cli.ledger.store import read_rows
from csdm_cli.ledger.tables import Shown, TextTable
from csdm_cli.runs.runtime import Runtime
from csdm_cli.safe_text import markup


def run(
    runtime: Runtime,
    *,
    results: Path,
    everything: bool,
    markdown: bool,
    into: Path | None,
    protocol: Protocol | None,
) -> None:
    """Print our tables, and the papers' values with ours beside them; or bring the tables in ``into`` up to date.

    Args:
        runtime: says whether to print JSON.
        results: folder of the rows.
        everything: also the papers' values that were never run.
        markdown: print Markdown.
        into: a document instead of the terminal.
        protocol: rows of this one alone; None for all.

    Raises:
        CsdmError: if a row is damaged, or ``into`` names a table that does not exist.
    """
    rows = [row for row in read_rows(results) if protocol in (None, row.protocol)]
    if into is not None:
        refresh_document(into, rows)
        note(f"brought the tables in {into} up to date")
        return
    shown = Shown.all if everything else Shown.measured if markdown else Shown.own
    overview = overview_of(rows, shown)
    if markdown:
        print(overview.markdown(), flush=True)
        return
    parts = [part for sheet in overview.sheets for part in _shown(sheet)]
    emit(overview.as_dict(), lambda: [*parts, overview.counts], as_json=runtime.json)


def _shown(sheet: TextTable) -> list[RenderableType]:
    table = figures_table(sheet.columns[0], sheet.columns[1:])
    for cells in sheet.cells:
        table.add_row(*cells)
    notes = "\n".join(map(markup, sheet.footnote.split("\n\n")))
    return [f"[bold]{markup(sheet.title)}[/]", table, f"[dim]{notes}[/]\n"]
