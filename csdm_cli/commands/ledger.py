"""``csdm ledger``: our measured rows, and the papers' values beside them; and ``csdm ledger add``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from csdm_cli import safe_text
from csdm_cli.data.store import DATA_ROOT, MANIFEST_FILE, open_longtail
from csdm_cli.display.console import emit, note
from csdm_cli.display.tables import figures_table
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.ledger.headline import headline_sheets
from csdm_cli.ledger.matching import Comparison, compare
from csdm_cli.ledger.measurements import read_measurements
from csdm_cli.ledger.protocol import Protocol
from csdm_cli.ledger.row import TABLE_NAME, Row
from csdm_cli.ledger.rows_from_runs import Scale, build_row, by_row
from csdm_cli.ledger.shell_commands import typed_commands
from csdm_cli.ledger.store import ROW, read_rows, row_file, write_row
from csdm_cli.ledger.tables import Shown, TextTable, counts_by_status, own_sheets, paper_sheet, refreshed
from csdm_cli.names import Source
from csdm_cli.runs.runtime import Runtime
from csdm_cli.safe_text import counted, markup
from csdm_cli.storage import atomic, outputs, places


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
    found = compare(rows, datasets_here())
    shown = Shown.measured if markdown else Shown.own
    sheets = [*own_sheets(rows), paper_sheet(found, Shown.all if everything else shown)]
    if into is not None:  # the one file of its user's that is changed, on request and between its marks alone
        atomic.refuse_unwritable(into.parent, "--into")
        before = _text(into)
        after = refreshed(before, document_sheets(rows))
        if after != before:
            atomic.write_text(into.resolve(), after)
        note(f"brought the tables in {into} up to date")
        return
    if markdown:
        print(
            "\n\n".join(f"### {safe_text.markdown(sheet.title)}\n\n{sheet.markdown()}" for sheet in sheets), flush=True
        )
        return
    counts = ", ".join(f"{number} {status}" for status, number in counts_by_status(found).items() if number)
    value = {"rows": [_summary(row) for row in rows], "papers": [_beside(item) for item in found]}
    emit(value, lambda: [*(part for sheet in sheets for part in _shown(sheet)), counts], as_json=runtime.json)


def document_sheets(rows: Sequence[Row]) -> list[TextTable]:
    """All that can be marked in a document: the same on every machine, whatever data it has."""
    papers = paper_sheet(compare(rows, ()), Shown.measured)
    return [*own_sheets(rows), *headline_sheets(rows, typed_commands), papers]


def add(
    runtime: Runtime,
    *,
    places_of_results: list[Path],
    results: Path,
    table: str | None,
    scale: Scale | None,
    controls: bool,
) -> None:
    """Make a row of every set (and control) found, the sets of equal settings together, and write it.

    Raises:
        UsageError: if ``table`` cannot be part of a file's name.
        CsdmError: if the sets of a row do not belong together, or settings are less than the scale claimed.
    """
    if table is not None and not re.match(TABLE_NAME, table):
        raise UsageError(f"--table: got {table!r}, expected lower case letters, digits, dots and dashes")
    atomic.refuse_unwritable(results, "--results")
    found = [one for path in places_of_results for one in read_measurements(path, controls=controls)]
    rows = [build_row(own, table, scale, typed_commands) for own in by_row(found)]
    if len({row.name for row in rows}) < len(rows):
        raise CsdmError("these runs differ in data or IPC: add them one at a time, or leave --table out")
    outputs.claim_files(results, {row_file(row): ROW for row in rows}, "--results")
    written = {row.name: str(write_row(row, results)) for row in rows}
    lines = [markup(f"{row.name}: {row.spread} % ({row.scale} scale: {row.scale_text})") for row in rows]
    emit({"rows": written}, lambda: lines, as_json=runtime.json)
    dirty = [row.name for row in rows if row.code.dirty]
    if dirty:
        note(
            "warning: measured by code with uncommitted changes: a commit alone does not repeat it", quiet=runtime.quiet
        )
    note(f"wrote {counted(len(rows), 'row')} to {results}/\nnext: csdm ledger", quiet=runtime.quiet)


def datasets_here() -> set[str]:
    """Names of the datasets that can be read without a download: in ``data/``, in the cache, or in a package."""
    here = {Source.digits.value}
    for place in DATA_ROOT.glob(f"**/{MANIFEST_FILE}"):
        with suppress(CsdmError):
            here.add(open_longtail(place.parent).manifest.dataset)
    cache = places.cache_dir("datasets")
    return here | {source.value for source in Source if (cache / source.value).is_dir()}


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode()  # line ends as they are
    except (OSError, UnicodeDecodeError) as error:
        raise CsdmError(f"cannot read {file}: {error}") from error


def _shown(sheet: TextTable) -> list[RenderableType]:
    table = figures_table(sheet.columns[0], sheet.columns[1:])
    for cells in sheet.cells:
        table.add_row(*cells)
    return [f"[bold]{markup(sheet.title)}[/]", table, f"[dim]{markup(sheet.footnote)}[/]\n"]


def _summary(row: Row) -> dict[str, Any]:
    spread, best = row.spread, row.best_on_test.students.mean
    return {
        "name": row.name,
        "table": row.table,
        "subject": row.subject,
        "accuracy": spread.mean,
        "std": spread.std,
        "best_on_test": best,
        "scale": row.scale,
        "scale_text": row.scale_text,
        "jpeg": row.data.jpeg,
        "protocol": str(row.protocol),
    }


def _beside(item: Comparison) -> dict[str, Any]:
    paper = item.paper
    return {
        "source": paper.source,
        "table": paper.table,
        "dataset": paper.dataset,
        "imbalance": paper.imbalance,
        "ipc": paper.ipc,
        "network": paper.arch or None,
        "method": paper.method,
        "paper_percent": paper.value,
        "row": item.row.name if item.row else None,
        "ours_percent": 100 * item.row.spread.mean if item.row else None,
        "difference": item.difference,
        "status": str(item.status),
        "settings": item.settings,
        "protocol": str(item.row.protocol) if item.row else None,
    }
