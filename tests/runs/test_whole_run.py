"""The time of a set, where its run went on from a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from csdm_cli.distillation.checkpoint import Checkpoint
from csdm_cli.runs.whole_run import whole_seconds
from csdm_cli.storage import tensorfile
from tests.command_world import COMMANDS, run


@pytest.mark.parametrize(
    ("method", "iterations", "seconds"),
    [
        *(("dm", 100, 9.0), ("dm", 40, None), ("dm", 0, None), ("dm", None, 9.0)),
        *(("random", 0, 9.0), ("theirs", 0, 9.0), ("theirs", 40, None)),
    ],
)
def test_time_of_a_part_is_none(method, iterations, seconds):
    record = SimpleNamespace(iterations=iterations, wall_seconds=9.0)
    assert whole_seconds(record, method, {"distill": {"iterations": 100}}) == seconds
    assert whole_seconds(record, method, {}) == 9.0 and whole_seconds(None, method, {}) is None


@pytest.fixture(params=[2, 4])
def stopped(request, workplace, tmp_path, monkeypatch) -> Path:
    """The checkpoint of a run of four steps that was stopped after so many."""
    save = Checkpoint.save

    def save_and_stop(self, step, tensors) -> None:
        save(self, step, tensors)
        if step == request.param:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", save_and_stop)
        assert run(*COMMANDS["distill"], expect=None).exit_code == 130
    (kept,) = (tmp_path / "cache" / "checkpoints").glob("*.safetensors")
    assert tensorfile.read_header(kept)["step"] == request.param
    return kept


def retold(kept: Path, **header: object) -> None:
    """The same state, with another header."""
    tensors, told = tensorfile.load(kept)
    own = {name: told[name] for name in ("key", "step")}
    tensorfile.save(kept, tensors, own | header)


def told() -> tuple[dict, float | None]:
    """The record beside the set, and the seconds among its costs."""
    record, costs = (json.loads(Path(f"out/set/{name}.run.json").read_text()) for name in ("distilled", "costs"))
    return record, costs["wall_seconds"]


def test_a_resumed_run_costs_what_all_its_parts_did(stopped):
    assert 0 < tensorfile.read_header(stopped)["seconds"] < 600
    retold(stopped, seconds=5000.0)
    run(*COMMANDS["distill"])
    record, seconds = told()
    assert record["iterations"] == 4 and 5000 < record["wall_seconds"] == seconds < 5600
    assert Path("out/set/distilled.safetensors").read_bytes() == Path("set/distilled.safetensors").read_bytes()


def test_where_a_checkpoint_does_not_tell_the_whole_is_not_told(stopped):
    """As those of earlier versions: no table, page or file shows the time of the last part."""
    retold(stopped)
    run(*COMMANDS["distill"])
    record, seconds = told()
    assert record["iterations"] < 4 and record["wall_seconds"] > 0 and seconds is None
    rows = run("show", "out/set").stdout
    assert f"{record['finished']}, " in rows and " s, " not in rows.partition(record["finished"])[2].partition("\n")[0]
    run("evaluate", "out/set", "--data", "data", "--no-controls", "--out", "found")
    run("ledger", "add", "found", "--table", "some", "--results", "rows")
    (own,) = json.loads(next(Path("rows").glob("*.json")).read_text())["sets"]
    assert own["making"]["wall_seconds"] is None and own["making"]["peak_memory_bytes"] > 0
    run("report", "--html", "out/set", "--out", "page.html")
    page = Path("page.html").read_text()
    assert "to distil, without teachers" not in page and "distilling" not in page and "at the peak" in page
