"""Precision, order of memory and compilation of students: every command that trains them takes and names them."""

from __future__ import annotations

import json
from pathlib import Path

from csdm_cli.cli.app import app
from csdm_cli.ledger.matching import differences
from csdm_cli.ledger.store import find_row
from csdm_cli.names import Precision
from csdm_cli.networks.numerics import Numerics
from tests.command_world import fails, run

HALF = ("--precision", "bf16", "--channels-last")
TOLD = {"precision": "bf16", "channels_last": True, "compiled": False}
ROW = "digits-lt6-ipc2-width4-csdm-hard"


def read(path: str) -> dict:
    return json.loads(Path(path).read_text())


def test_evaluate_and_cross_arch_name_them(workplace):
    run("evaluate", "set", "--data", "data", "--no-controls", "--out", "plain")
    run("evaluate", "set", "--data", "data", "--no-controls", "--out", "half", *HALF)
    plain, half = (read(f"{name}/details.json") for name in ("plain", "half"))
    assert half["protocol"] == plain["protocol"] | {"numerics": TOLD} and "numerics" not in plain["protocol"]
    keys = [next(iter(details["rows"].values()))["key"] for details in (plain, half)]
    assert keys[0] != keys[1]
    run("cross-arch", "set", "--data", "data", "--networks", "convnet", "--no-controls", "--out", "others", *HALF)
    assert read("others/protocol.json")["convnet"]["numerics"] == TOLD


def test_compare_names_those_of_students_and_of_sets(workplace):
    words = ["compare", "--params", "params.yaml", "--data", "data", "--teachers", "teachers", "--ipc", "2"]
    run(*words, "--methods", "dm,herding", "--seeds", "1", "--set", "distill.iterations=2", *HALF, "--out", "both")
    (table,) = read("both/compare.json")["tables"].values()
    rows = {row["name"]: row for row in table["rows"]}
    assert all(row["protocol"]["numerics"] == TOLD for row in rows.values())
    assert rows["dm"]["sets"][0]["config"]["numerics"] == TOLD
    assert rows["herding"]["sets"][0]["config"]["numerics"]["precision"] == "fp32", "it optimises nothing"


def test_a_row_names_them_and_is_measured_again_with_them(workplace, tmp_path, monkeypatch):
    run("distill", "data", "--teachers", "teachers", "--out", "other", "--channels-last")
    run("evaluate", "other", "--data", "data", "--no-controls", "--out", "half", "--precision", "bf16")
    path = Path(json.loads(run("ledger", "add", "half", "--json").stdout)["rows"][ROW]).resolve()
    row = find_row(ROW, path.parent)
    assert row.numerics == {"distill": Numerics(channels_last=True), "evaluate": Numerics(Precision.bf16)}
    assert row.commands[-2].endswith(" --channels-last") and row.commands[-1].endswith(" --precision bf16")
    assert "evaluate in bf16" in differences(row)
    monkeypatch.setenv("CSDM_CACHE", str(tmp_path / "empty"))
    assert json.loads(run("ledger", "run", path, "--json").stdout)["bit_equal"]


def test_students_at_once_are_plain(workplace):
    for command in (["evaluate", "set"], ["cross-arch", "set"], ["compare", "--params", "params.yaml"]):
        refused = run(*command, "--parallel", "together", "--compile", expect=None)
        fails(refused, 2, "--parallel together", "--compile")


def test_help_says_what_they_act_on():
    from typer.testing import CliRunner

    for command, networks in {"evaluate": "students", "cross-arch": "students", "distill": "distillation"}.items():
        shown = " ".join(CliRunner().invoke(app, [command, "--help"]).stdout.replace("│", " ").split())
        assert f"precision of {'the networks that distillation' if networks == 'distillation' else networks}" in shown
