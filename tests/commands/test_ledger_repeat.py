"""A row of the repository's own ledger, measured again: what anyone can do with a fresh clone."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from csdm_cli.artifacts.run_record import machine
from csdm_cli.ledger.store import find_row
from csdm_cli.storage.keys import source_hash
from tests.command_world import run

ROW = Path(__file__).parents[2] / "results" / "digits-lt10-ipc2-width16-csdm-hard.json"


@pytest.mark.slow
def test_a_published_row_comes_out_again_from_its_json_alone(tmp_path, monkeypatch):
    """In an empty folder with an empty cache; to the bit where nothing that decides it differs from the row's."""
    place = tmp_path / "empty"
    place.mkdir()
    monkeypatch.chdir(place)
    shutil.copy(ROW, place)
    found = json.loads(run("ledger", "run", ROW.name, "--json").stdout)
    row = find_row(ROW.name, place)
    assert found["before"] == row.spread.mean and found["agrees"]
    made_by = (row.code.source, row.code.versions["torch"], asdict(row.machine))
    if made_by == (source_hash(), str(torch.__version__), asdict(machine())):
        assert found["bit_equal"]
