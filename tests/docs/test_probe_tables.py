"""The tables of probes come into the ledger, at a size that says nothing, and what is done is not done again."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import probe_picture
import pytest
import torch
import yaml
from PIL import Image
from probe_tables import HERE, Places, main, tables

from csdm_cli.ledger.protocol import Protocol
from csdm_cli.ledger.store import read_rows
from csdm_cli.runs.choose import choose
from csdm_cli.settings.sections import MakeLt, Params

PLAN = {
    "seeds": 2,
    "make_lt": {"digits-lt6": {"dataset": "digits", "imbalance": 6, "n_max": 12, "size": 16}},
    "backbones": {
        "small": {"network": "patch-kmeans", "centres": 4, "epochs": 1},
        "large": {"network": "patch-kmeans", "centres": 6, "epochs": 1},
    },
    "distill": {"factor": 1, "labels": "hard", "iterations": 2},
    "ipc": {1: {}},
    "arms": {"sfm": {"method": "sfm", "draws": 1}, "lgm": {"method": "lgm", "option": {"copies": 2}}},
    "evaluate": {"students": 1, "probe_epochs": 2},
}


def test_the_plan_is_one_that_csdm_takes():
    plan = yaml.safe_load((HERE / "probes.yaml").read_text())
    assert [str(name) for name in plan["ipc"]] == ["1", "10"] and set(plan["arms"]) == {"sfm", "lgm", "ridge"}
    for data in plan["make_lt"].values():
        MakeLt.model_validate(data)
    for backbone in plan["backbones"].values():
        for ipc, own in plan["ipc"].items():
            for arm in plan["arms"].values():
                distill = plan["distill"] | {"ipc": ipc} | own | arm
                choose(Params.model_validate({"pretrain": backbone, "distill": distill, "evaluate": plan["evaluate"]}))
    whole = list(tables(plan, Places(Path("work"), Path("results")), []))
    assert len(whole) == 2 * 2 * 2
    assert [table.data for table in tables(plan, Places(Path("work"), Path("results")), ["imagenette-lt10-ipc10"])] == [
        "imagenette-lt10"
    ] * 2


def test_the_picture_has_a_row_for_each_name_and_a_column_for_each_class():
    side, gap, left = probe_picture.SIDE, probe_picture.GAP, probe_picture.LEFT
    images = torch.zeros(3, 3, 8, 8, dtype=torch.uint8)
    images[2, 0] = 200
    grey = torch.full((3, 1, 8, 8), 77, dtype=torch.uint8)
    png = probe_picture.drawn([("random", "real", images), ("sfm", "small", grey)], ("a", "b", "c"))
    picture = Image.open(io.BytesIO(png))
    assert picture.mode == "P"
    pixels = np.asarray(picture.convert("RGB"))
    last = left + 2 * (side + gap)
    assert (pixels[24 : 24 + side, last : last + side] == [200, 0, 0]).all()
    assert (pixels[24 + side + gap : 24 + 2 * side + gap, left : left + side] == 77).all()


@pytest.mark.slow
def test_tables_go_into_the_ledger_and_stay(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CSDM_CACHE", str(tmp_path / "cache"))
    Path("plan.yaml").write_text(yaml.safe_dump(PLAN))
    words = ["probe_tables.py", "--plan", "plan.yaml", "--work", "work", "--results", "rows", "small"]
    monkeypatch.setattr(sys, "argv", words)
    main()
    rows = {(row.table, row.subject): row for row in read_rows(Path("rows"))}
    assert {row.protocol for row in rows.values()} == {Protocol.probe}
    assert {table for table, _ in rows} == {"digits-lt6-ipc1-small", "digits-lt6-ipc1-small-on-large"}
    for table in ("digits-lt6-ipc1-small", "digits-lt6-ipc1-small-on-large"):
        for subject in ("sfm (hard labels)", "lgm (hard labels)", "random", "nearest to centroid"):
            assert [one.seed for one in rows[table, subject].sets] == [0, 1]
        assert rows[table, "full, balanced-softmax"].is_full_data
    assert {"sfm + inheritance", "lgm + inheritance", "random + inheritance"} <= {subject for _, subject in rows}
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", [*words, "--dry-run"])
    main()
    assert capsys.readouterr().out == ""
    words = ["probe_picture.py", "--plan", "plan.yaml", "--work", "work", "ipc1-small", "--out", "sets.png"]
    monkeypatch.setattr(sys, "argv", words)
    probe_picture.main()
    assert Image.open("sets.png").size[1] == 24 + 4 * (probe_picture.SIDE + probe_picture.GAP)
