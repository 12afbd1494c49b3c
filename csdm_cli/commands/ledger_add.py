"""``csdm ledger add``: rows of the ledger from finished runs."""

from __future__ import annotations

from pathlib import Path

from csdm_cli.display.console import emit, note
from csdm_cli.ledger.rows_from_runs import Scale, rows_of
from csdm_cli.ledger.store import write_rows
from csdm_cli.runs.runtime import Runtime
from csdm_cli.safe_text import counted, markup
from csdm_cli.storage import atomic


def run(
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
    atomic.refuse_unwritable(results, "--results")
    rows = rows_of(places_of_results, table, scale, controls=controls)
    written = {name: str(path) for name, path in write_rows(rows, results).items()}
    lines = [markup(f"{row.name}: {row.spread} % ({row.scale} scale: {row.scale_text})") for row in rows]
    emit({"rows": written}, lambda: lines, as_json=runtime.json)
    if any(row.code.dirty for row in rows):
        note(
            "warning: measured by code with uncommitted changes: a commit alone does not repeat it", quiet=runtime.quiet
        )
    note(f"wrote {counted(len(rows), 'row')} to {results}/\nnext: csdm ledger", quiet=runtime.quiet)
