"""Rows of linear probes: from evaluate into the ledger, and measured again from their JSON alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from csdm_cli.ledger.protocol import Protocol
from csdm_cli.ledger.store import read_rows
from tests.command_world import run

PROBE = ["--protocol", "probe", "--data", "data", "--probe-epochs", "3", "--students", "2"]
AGAIN = ("sfm (hard labels)", "random", "nearest to centroid", "full, logit-adjustment", "full, balanced-softmax")


@pytest.mark.slow
def test_probes_and_their_controls_become_rows_that_come_out_again(workplace):
    for name, centres in (("one", 5), ("other", 6)):
        pretrain = ["--network", "patch-kmeans", "--centres", centres, "--epochs", "2"]
        run("pretrain", "data", *pretrain, "--out", name)
    made = ["--teachers", "one", "--method", "sfm", "--ipc", "2", "--factor", "1", "--labels", "hard"]
    run("distill", "data", *made, "--out", "flows")
    run("evaluate", "flows", *PROBE, "--out", "own")
    run("evaluate", "flows", *PROBE, "--teachers", "other", "--inherit", "--out", "heir")
    added = run("ledger", "add", "own", "--controls", "--results", "results", "--json")
    assert "digits-lt6-ipc2-probe-patch-kmeans-full-cross-entropy" in json.loads(added.stdout)["rows"]
    run("ledger", "add", "heir", "--controls", "--table", "others", "--results", "results")
    rows = {(row.table, row.subject): row for row in read_rows(Path("results"))}
    assert {row.protocol for row in rows.values()} == {Protocol.probe}
    own, heirs = "digits-lt6-ipc2-probe-patch-kmeans", [subject for table, subject in rows if table == "others"]
    for subject in AGAIN:
        repeated(rows[own, subject].name)
    inherited = [name for name in heirs if name.endswith("inheritance")]
    assert set(inherited) == {f"{name} + inheritance" for name in ("sfm", "random", *numbers(12, 2))}
    for subject in (AGAIN[0], *inherited):
        repeated(rows["others", subject].name)
    assert {rows["others", subject].network["frozen"]["centres"] for subject in heirs} == {6}
    assert rows["others", "sfm + inheritance"].probe.inherited.giver["spec"]["frozen"]["centres"] == 5
    table = run("ledger", "--results", "results", "--markdown").stdout
    assert "patch-kmeans of 6 centres (fitted to the training images, without their labels)" in table
    assert "Protocol: probe" in table and "nearest to centroid" in table


def numbers(largest: int, ipc: int) -> list[str]:
    return [f"random, {number} per class" for number in (1, 10, 100) if number <= largest and number != ipc]


def repeated(name: str) -> None:
    """In a folder of its own; the cache still has the backbones."""
    found = json.loads(run("ledger", "run", name, "--results", "results", "--out", f"again/{name}", "--json").stdout)
    assert found["bit_equal"], name
