"""``csdm ledger run``: a row measured again, from nothing but its JSON."""

from __future__ import annotations

from pathlib import Path

from csdm_cli.display.console import emit, note
from csdm_cli.errors import CsdmError
from csdm_cli.ledger.repeat import changes, compare_rows, like_the_rows, newer_settings, repeat, settings_of
from csdm_cli.ledger.store import find_row
from csdm_cli.runs.runtime import Runtime
from csdm_cli.storage import atomic, places


def run(name: str, runtime: Runtime, *, results: Path, data_dir: Path | None, work: Path | None) -> None:
    """Make the row's data, teachers, sets and students again, and print how they compare.

    Raises:
        UsageError: if the row's settings are no longer known.
        CsdmError: if the data are other ones, or the outcome lies outside two standard errors.
    """
    row = find_row(name, results)
    runtime = like_the_rows(runtime, row)
    params, folder = settings_of(row, data_dir), work or places.cache_dir("ledger", row.name)
    atomic.refuse_unwritable(folder)
    note(f"repeating {row.name} in {folder}: {row.scale_text}", quiet=runtime.quiet)
    again = repeat(row, params, runtime, folder)
    found = compare_rows(row, again)
    result = {
        "row": row.name,
        "before": row.spread.mean,
        "again": again.spread.mean,
        "difference": found.difference,
        "tolerance": found.tolerance,
        "bit_equal": found.bit_equal,
        "agrees": found.agrees,
        "verdict": str(found),
    }
    lines = [f"{row.name}: {row.spread} % in the ledger, {again.spread} % now", str(found)]
    emit(result, lambda: lines, as_json=runtime.json)
    for reason in () if found.bit_equal else (*changes(row, again), *newer_settings(row, params)):
        note(f"not the same: {reason}", quiet=runtime.quiet)
    if not found.agrees:
        raise CsdmError(f"{row.name} did not come out as in the ledger: {found}")
