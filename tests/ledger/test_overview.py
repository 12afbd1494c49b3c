"""All of the ledger at once: JSON values, Markdown, and the tables in a document."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from csdm_cli.errors import CsdmError
from csdm_cli.ledger import overview
from csdm_cli.ledger.overview import datasets_here, document_sheets, overview_of, refresh_document
from csdm_cli.ledger.papers import paper_values
from csdm_cli.ledger.storage import storage_of_row
from csdm_cli.ledger.tables import Shown
from tests.ledger.rows import full_row, row


def test_json_has_every_row_and_every_value_of_the_papers():
    told = overview_of([row(), full_row()], Shown.own).as_dict()
    assert [one["name"] for one in told["rows"]] == [row().name, full_row().name]
    assert [one["storage"] for one in told["rows"]] == [asdict(storage_of_row(row())), None]
    assert told["rows"][0]["accuracy"] == pytest.approx(0.5) and told["rows"][0]["scale"] == "reduced"
    assert {(one["source"], one["table"]) for one in told["papers"]} == {
        (paper.source, paper.table) for paper in paper_values()
    }
    (beside,) = [one for one in told["papers"] if one["row"] == row().name]
    assert beside["ours_percent"] == pytest.approx(50.0)
    assert beside["difference"] == pytest.approx(50.0 - beside["paper_percent"])


def test_markdown_has_a_heading_for_each_sheet():
    found = overview_of([row()], Shown.measured)
    headings = [line for line in found.markdown().splitlines() if line.startswith("### ")]
    assert len(headings) == len(found.sheets) == 2 and headings[-1] == "### Beside the papers' values"


def test_a_document_changes_between_its_marks_alone(tmp_path):
    place = tmp_path / "told.md"
    place.write_bytes(b"Mine.\r\n<!-- ledger: some-table -->\nold\n<!-- /ledger -->\r\nMine too.")
    refresh_document(place, [row()])
    (table,) = [sheet for sheet in document_sheets([row()]) if sheet.name == "some-table"]
    marks = "<!-- ledger: some-table -->\n", "\n<!-- /ledger -->"
    assert place.read_bytes().decode() == f"Mine.\r\n{marks[0]}{table.markdown()}{marks[1]}\r\nMine too."
    place.write_text("<!-- ledger: unknown -->\n\n<!-- /ledger -->\n")
    with pytest.raises(CsdmError, match="there is no table 'unknown'"):
        refresh_document(place, [row()])
    place.write_text("Mine alone.\n")
    with pytest.raises(CsdmError, match=r"told\.md has no table of the ledger"):
        refresh_document(place, [row()])


def test_datasets_here_are_those_in_the_cache_and_in_packages(tmp_path, monkeypatch):
    monkeypatch.setattr(overview, "DATA_ROOT", tmp_path)
    monkeypatch.setenv("CSDM_CACHE", str(tmp_path / "cache"))
    assert datasets_here() == {"digits"}
    (tmp_path / "cache" / "datasets" / "svhn").mkdir(parents=True)
    assert datasets_here() == {"digits", "svhn"}
