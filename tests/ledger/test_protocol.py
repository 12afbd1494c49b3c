"""Rows of protocols that were corrected are marked, and kept apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from csdm_cli.errors import CsdmError
from csdm_cli.ledger.headline import AHEAD, headline_sheets
from csdm_cli.ledger.matching import compare
from csdm_cli.ledger.protocol import MEANING, TODAY, Protocol, footnote, marked
from csdm_cli.ledger.row import Row
from csdm_cli.ledger.tables import Shown, own_sheets, paper_sheet
from tests.ledger.rows import full_row, random_row, row


def old(*rows: Row) -> list[Row]:
    return [replace(one, protocol=Protocol.first) for one in rows]


CONTROLS = (random_row(((0.29,), (0.29,))), full_row())


def test_rows_without_the_field_are_of_the_first():
    value = row().as_dict()
    assert value.pop("protocol") == TODAY
    assert Row.from_dict(value, "here").protocol is Protocol.first
    with pytest.raises(CsdmError, match="protocol"):
        Row.from_dict(value | {"protocol": "1999-01"}, "here")


def test_every_protocol_says_what_it_is():
    assert set(MEANING) == set(Protocol)
    assert footnote([TODAY]) == f"Protocol: {TODAY} ({MEANING[TODAY]})."
    assert footnote([TODAY, Protocol.first]).startswith("Protocols: 2026-11 (untrained controls")


def test_a_comparison_withdrawn_has_the_mark():
    assert marked("0.90", Protocol.first) == "0.90 †" and marked("0.90", TODAY) == "0.90"
    assert marked("–", Protocol.first) == "–"
    (sheet,) = own_sheets(old(row(), *CONTROLS))
    assert dict(zip(sheet.columns, sheet.cells[0], strict=True))["gap closed"] == "0.50 †"
    assert "† As a comparison withdrawn" in sheet.footnote
    sheet = headline_sheets(old(row(), *CONTROLS), lambda *_: ())[0]
    random, full = (dict(zip(sheet.columns, cells, strict=True)) for cells in sheet.cells[1:])
    assert full[AHEAD].endswith(" †") and random[AHEAD] == "+21.0 ± 63.5"  # Welch, one degree of freedom


def test_rows_of_two_protocols_are_not_compared():
    (sheet,) = own_sheets([row(), *old(*CONTROLS)])
    assert dict(zip(sheet.columns, sheet.cells[0], strict=True))["gap closed"] == "–"
    sheet = headline_sheets([row(), *old(*CONTROLS)], lambda *_: ())[0]
    assert {dict(zip(sheet.columns, cells, strict=True))[AHEAD] for cells in sheet.cells} == {"–"}


def test_papers_stand_beside_a_named_protocol():
    sheet = paper_sheet(compare(old(row()), ()), Shown.measured)
    assert dict(zip(sheet.columns, sheet.cells[0], strict=True))["protocol"] == "2026-11"
    assert "Protocol: 2026-11" in sheet.footnote and "†" not in sheet.footnote
