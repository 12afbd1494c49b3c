"""The ledger's folder."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.ledger.store import find_row, read_rows, write_row, write_rows
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
    with pytest.raises(CsdmError, match="has no row 'other'; csdm ledger shows its 1 row"):
        find_row("other", tmp_path)
    with pytest.raises(CsdmError, match=r"did you mean some-table-csdm-hard\?"):
        find_row("some-table-csdm", tmp_path)
    path.rename(tmp_path / "renamed.json")
    with pytest.raises(CsdmError, match="called like the row"):
        read_rows(tmp_path)
    (tmp_path / "renamed.json").write_text(json.dumps(row().as_dict())[:-5])
    with pytest.raises(CsdmError, match="no JSON"):
        read_rows(tmp_path)


def test_a_row_of_other_settings_is_not_replaced(tmp_path):
    """Sets that come on top make a row anew; other settings or data are another row."""
    write_rows([row()], tmp_path)
    write_rows([row(((0.5, 0.6), (0.4, 0.5), (0.5, 0.5)))], tmp_path)
    assert len(find_row("some-table-csdm-hard", tmp_path).sets) == 3
    longer = row()
    longer.config["distill"]["iterations"] = 7
    other = replace(row(), data=replace(row().data, fingerprints={"train": "x", "test": "b"}))
    for one, named in ((longer, "distill.iterations"), (other, "data")):
        with pytest.raises(UsageError, match=rf"a row of other settings \({named}\)"):
            write_rows([full_row(), one], tmp_path)
    assert [found.name for found in read_rows(tmp_path)] == ["some-table-csdm-hard"]
