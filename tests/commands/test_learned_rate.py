"""Students at the step size that a set was learned with: a row of their own in every table, and in the ledger."""

from __future__ import annotations

import json
from pathlib import Path

from csdm_cli.artifacts.file import load_distilled
from csdm_cli.ledger.measurements import read_measurements
from csdm_cli.ledger.store import read_rows
from csdm_cli.names import AT_LEARNED_RATE
from tests.command_world import run

MTT = ("ahead=1", "latest=1", "student_steps=2")
EXPERTS = ("experts=1", "expert_snapshots=2", "snapshot_every=2")
SETTINGS = ["distill.iterations=2", *(f"distill.option.{one}" for one in MTT), *(f"pretrain.{one}" for one in EXPERTS)]
COMMAND = ["compare", "--params", "params.yaml", "--data", "data", "--ipc", "1", "--set", "evaluate.lr=learned"]
ROW = f"mtt, {AT_LEARNED_RATE}"


def compared(*words: str) -> dict[str, dict]:
    (table,) = json.loads(run(*COMMAND, *words, "--json").stdout)["tables"].values()
    return {row["name"]: row for row in table["rows"]}


def test_a_row_of_their_own(workplace, monkeypatch, tmp_path):
    """Made by compare or evaluate, and measured again from the ledger, by the same students."""
    rows = compared("--methods", "mtt", "--seeds", "2", *(word for one in SETTINGS for word in ("--set", one)))
    own, learned = rows["mtt"], rows[ROW]
    assert [name for name in rows if AT_LEARNED_RATE in name] == [ROW] and not learned["control"]
    files = [one["file"] for one in own["sets"]]
    assert [one["file"] for one in learned["sets"]] == files
    rates = [load_distilled(Path(file)).learned_rate for file in files]
    assert rates[0] != rates[1] and None not in rates
    assert own["protocol"]["recipe"]["lr"] == 1e-3 and learned["protocol"]["recipe"]["lr"] == "learned"
    assert own["share_of_gap_closed"] is not None and learned["share_of_gap_closed"] is None
    assert learned["evaluations"] != own["evaluations"]

    for number, file in enumerate(files):
        run("evaluate", file, "--data", "data", "--lr", "learned", "--no-controls", "--out", f"evaluated-{number}")
    run("ledger", "add", "evaluated-0", "evaluated-1", "--results", "by-evaluate")
    run("ledger", "add", "artifacts/compare", "--results", "by-compare")
    told = [{row.subject: row for row in read_rows(Path(folder))} for folder in ("by-evaluate", "by-compare")]
    assert [set(found) for found in told] == [{"mtt (hard labels)", f"{ROW} (hard labels)"}] * 2
    first, second = (found[f"{ROW} (hard labels)"] for found in told)
    assert [one.students for one in first.sets] == [one.students for one in second.sets]
    assert (first.config, first.commands) == (second.config, second.commands) and first.at_learned_rate
    assert "--lr learned" in first.commands[-1] and "learned" not in told[0]["mtt (hard labels)"].commands[-1]

    with_it = compared("--methods", "random", "--seeds", "1", "--with", files[0], "--out", "beside")
    (name,) = [name for name in with_it if AT_LEARNED_RATE in name]
    assert with_it[name]["evaluations"] == learned["evaluations"][:1]
    assert {one.seed for one in read_measurements(Path("beside"), controls=False)} == {0}

    path = Path("by-evaluate").resolve() / f"{first.name}.json"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CSDM_CACHE", str(tmp_path / "cache"))
    assert json.loads(run("ledger", "run", path, "--json").stdout)["bit_equal"]
