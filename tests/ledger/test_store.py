"""The ledger's folder."""

from __future__ import annotations

import json

import pytest

from csdm_cli.errors import CsdmError
from csdm_cli.ledger.store import find_row, read_rows, write_row
from tests.ledger.rows import full_row, row


def test_rows_are_found_among_other_measurements(tmp_path):
    (tmp_path / "speed.json").write_text("{}")
    paths = [write_row(made, tmp_path) for made in (row(), full_row())]
    assert read_rows(tmp_path) == [row(), full_row()]
    assert find_row("some-table-csdm-hard", tmp_path) == find_row(str(paths[0]), tmp_path) == row()


def test_mistakes_are_told(tmp_path):
    with pytest.raises(CsdmError, match="--results"):
        read_rows(tmp_path / "nowhere")
    path = write_row(row(), tmp_path)
    with pytest.raises(CsdmError, match="its rows: some-table-csdm-hard"):
        find_row("other", tmp_path)
    path.rename(tmp_path / "renamed.json")
    with pytest.raises(CsdmError, match="called like the row"):
        read_rows(tmp_path)
    (tmp_path / "renamed.json").write_text(json.dumps(row().as_dict())[:-5])
    with pytest.raises(CsdmError, match="no JSON"):
        read_rows(tmp_path)
