"""The whole ledger at a glance: our tables, and the papers' values with ours beside them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from csdm_cli import safe_text
from csdm_cli.data.store import DATA_ROOT, MANIFEST_FILE, open_longtail
from csdm_cli.errors import CsdmError
from csdm_cli.ledger.headline import headline_sheets
from csdm_cli.ledger.matching import Comparison, compare
from csdm_cli.ledger.row import Row
from csdm_cli.ledger.shell_commands import typed_commands
from csdm_cli.ledger.storage import storage_of_row
from csdm_cli.ledger.tables import (
    Shown,
    TextTable,
    counts_by_status,
    has_marked_tables,
    own_sheets,
    paper_sheet,
    refreshed,
)
from csdm_cli.names import Source
from csdm_cli.storage import atomic, places


@dataclass(frozen=True)
class Overview:
    """Rows and papers' values together.

    Attributes:
        rows: ours.
        papers: every value that a paper prints, beside ours where there is one.
        sheets: the tables to show: ours, then the papers'.
    """

    rows: Sequence[Row]
    papers: Sequence[Comparison]
    sheets: Sequence[TextTable]

    @property
    def counts(self) -> str:
        """The numbers of the papers' values that are measured, not run, and so on, in words."""
        return ", ".join(f"{number} {status}" for status, number in counts_by_status(self.papers).items() if number)

    def markdown(self) -> str:
        """All sheets as Markdown, a heading each."""
        return "\n\n".join(f"### {safe_text.markdown(sheet.title)}\n\n{sheet.markdown()}" for sheet in self.sheets)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"rows": [summary_of(row) for row in self.rows], "papers": [beside(item) for item in self.papers]}


def overview_of(rows: Sequence[Row], shown: Shown) -> Overview:
    """The tables of ``rows``, and the papers' values of the kind ``shown``."""
    papers = compare(rows, datasets_here())
    return Overview(rows, papers, [*own_sheets(rows), paper_sheet(papers, shown)])


def document_sheets(rows: Sequence[Row]) -> list[TextTable]:
    """All that can be marked in a document: the same on every machine, whatever data it has."""
    papers = paper_sheet(compare(rows, ()), Shown.measured)
    return [*own_sheets(rows), *headline_sheets(rows, typed_commands), papers]


def refresh_document(document: Path, rows: Sequence[Row]) -> None:
    """Bring the tables between a document's marks up to date; the rest of it stays, and so does a current document.

    It is the one file of its user's that csdm changes, on request.

    Raises:
        CsdmError: if the document cannot be read or written, or names a table that does not exist.
    """
    atomic.refuse_unwritable(document.parent, "--into")
    before = _text(document)
    if not has_marked_tables(before):
        raise CsdmError(
            f"{document} has no table of the ledger: one stands between <!-- ledger: NAME --> and <!-- /ledger -->"
        )
    after = refreshed(before, document_sheets(rows))
    if after != before:
        atomic.write_text(document.resolve(), after)


def datasets_here() -> set[str]:
    """Names of the datasets that can be read without a download: in ``data/``, in the cache, or in a package."""
    here = {Source.digits.value}
    for place in DATA_ROOT.glob(f"**/{MANIFEST_FILE}"):
        with suppress(CsdmError):
            here.add(open_longtail(place.parent).manifest.dataset)
    cache = places.cache_dir("datasets")
    return here | {source.value for source in Source if (cache / source.value).is_dir()}


def summary_of(row: Row) -> dict[str, Any]:
    """A row in JSON values: its name, its headline, how it was measured and what a set of it stores."""
    spread, best, storage = row.spread, row.best_on_test.students.mean, storage_of_row(row)
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
        "storage": None if storage is None else asdict(storage),
    }


def beside(item: Comparison) -> dict[str, Any]:
    """A paper's value and ours in JSON values, percent both."""
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


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode()  # line ends as they are
    except OSError as error:
        raise CsdmError(f"cannot read {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise CsdmError(f"{file} is no text") from error
