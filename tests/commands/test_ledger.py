"""csdm ledger: rows made of real runs, read back, and measured again from their JSON alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from csdm_cli.ledger.protocol import TODAY, Protocol
from csdm_cli.ledger.repeat import newer_settings, settings_of
from csdm_cli.ledger.store import find_row, read_rows
from csdm_cli.storage.keys import source_hash
from tests.command_world import fails, run
from tests.ledger.rows import row as made_up

TABLE = "digits-lt6-ipc2-width4"


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory):
    """Two sets of other seeds, evaluated; the first with its controls; and a comparison."""
    place = tmp_path_factory.mktemp("finished")
    world.copy_to(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("CSDM_CACHE", str(world.folder / "cache"))
        patch.setenv("CSDM_TRACKING", "none")
        for seed in (0, 1):
            run("distill", "data", "--teachers", "teachers", "--seed", seed, "--out", f"set-{seed}")
            run("evaluate", f"set-{seed}", "--data", "data", "--out", f"evaluate-{seed}")
    return place


@pytest.fixture
def place(world, finished, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("CSDM_CACHE", str(world.folder / "cache"))
    return copy


def add(*options: object) -> dict[str, str]:
    return json.loads(run("ledger", "add", "evaluate-0", "evaluate-1", *options, "--json").stdout)["rows"]


def test_rows_are_made_of_finished_runs(place):
    written = add("--controls")
    assert set(written) == {
        f"{TABLE}-{name}"
        for name in (
            "csdm-hard",
            "random",
            "tiled-random",
            "full-cross-entropy",
            "full-logit-adjustment",
            "full-balanced-softmax",
            "full-debiased",
        )
    }
    rows = {row.subject: row for row in read_rows(Path("results"))}
    own, full = rows["csdm (hard labels)"], rows["full, cross-entropy"]
    assert [found.seed for found in own.sets] == [0, 1] and [found.seed for found in full.sets] == [None]
    assert own.scale == "reduced" and "2 teachers of 2 epochs" in own.scale_text
    details = json.loads(Path("evaluate-1/details.json").read_text())["rows"]["csdm (hard labels)"]
    assert [one.accuracy for one in own.sets[1].students] == [run["curve"][-1][1] for run in details["students"]]
    assert own.sets[0].making.wall_seconds > 0 and own.sets[0].evaluating.peak_memory_bytes > 0
    assert own.sets[0].storage_bytes == 20 * 16 * 16 + 20 * 8
    assert own.config["make_lt"]["dev"] == 2 and own.config["distill"]["frequencies"] == 16
    assert own.data.fingerprints == json.loads(Path("data/manifest.json").read_text())["fingerprints"]


def test_rows_are_printed(place):
    add("--controls")
    shown = run("ledger").stdout
    assert "csdm (hard labels)" in shown and "full, balanced-softmax" in shown and "2603.01698" in shown
    assert "not run: code ready, no data here" in shown
    assert "LAD" not in shown and "LAD" in run("ledger", "--all").stdout
    value = json.loads(run("ledger", "--json").stdout)
    assert len(value["rows"]) == 7 and all(item["row"] is None for item in value["papers"])
    assert "| csdm (hard labels) |" in run("ledger", "--markdown").stdout
    assert {row["protocol"] for row in value["rows"]} == {str(TODAY)}
    assert json.loads(run("ledger", "--protocol", Protocol.first, "--json").stdout)["rows"] == []
    assert len(json.loads(run("ledger", "--protocol", TODAY, "--json").stdout)["rows"]) == 7
    fails(run("ledger", "--protocol", "2026", expect=None), 2, "--protocol", "2026-11", "2026-12")
    Path("PAGE.md").write_text(f"<!-- ledger: {TABLE} -->\n<!-- /ledger -->\n")
    run("ledger", "--into", "PAGE.md")
    assert "| full, cross-entropy |" in Path("PAGE.md").read_text()


@pytest.mark.parametrize("name", ["csdm-hard", "random", "tiled-random", "full-balanced-softmax", "full-debiased"])
def test_a_row_is_measured_again_from_its_json_alone(place, name, tmp_path, monkeypatch):
    """In an empty folder with an empty cache: nothing is left of the runs that made it."""
    path = Path(add("--controls")[f"{TABLE}-{name}"]).resolve()
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.setenv("CSDM_CACHE", str(tmp_path / "cache"))
    result = run("ledger", "run", path, "--json")
    found = json.loads(result.stdout)
    assert found["bit_equal"] and found["agrees"] and found["before"] == found["again"]


def test_sets_of_other_numbers_tell_what_they_take_and_stand_beside_their_start(place, tmp_path, monkeypatch):
    run("distill", "data", "--teachers", "teachers", "--parameterization", "decomposition", "--out", "coded")
    printed = run("evaluate", "coded", "--data", "data", "--out", "evaluate-coded").stdout
    assert "csdm, decomposition (hard labels)" in printed and "start" in printed and "tiled-random" not in printed
    written = json.loads(run("ledger", "add", "evaluate-coded", "--controls", "--json").stdout)["rows"]
    rows = {row.subject: row for row in read_rows(Path("results"))}
    own, start = rows["csdm, decomposition (hard labels)"], rows["start"]
    assert "tiled-random" not in rows and start.method == "start"
    storage = json.loads(Path("evaluate-coded/metrics.json").read_bytes())["storage"]
    told = own.sets[0]
    assert (told.stored_numbers, told.storage_bytes) == (storage["numbers"], storage["bytes"])
    assert told.ipc_equivalent == storage["ipc_equivalent"] <= 2
    assert start.coded_as == own.coded_as == "decomposition" and rows["random"].coded_as is None
    assert start.config["distill"]["iterations"] == 0 and start.sets[0].stored_numbers is None
    sheet = run("ledger", "--markdown").stdout
    cells = f"{storage['numbers']:,} | {storage['bytes']:,} | {storage['ipc_equivalent']:.2f} |"
    assert "decomposition in the bytes of 2 images per class" in sheet and cells in sheet
    path = Path(written[f"{TABLE}-start"]).resolve()
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.setenv("CSDM_CACHE", str(tmp_path / "cache"))
    again = json.loads(run("ledger", "run", path, "--json").stdout)
    assert again["bit_equal"] and again["before"] == again["again"]


def test_a_row_that_does_not_come_out_is_an_error(place):
    path = Path(add()[f"{TABLE}-csdm-hard"])
    value = json.loads(path.read_text())
    for found in value["sets"]:
        for student in found["students"]:
            student["accuracy"] = 0.999
    path.write_text(json.dumps(value))
    result = run("ledger", "run", f"{TABLE}-csdm-hard", expect=None)
    assert result.exit_code == 1 and "did not come out as in the ledger" in result.stderr
    assert "not bit-equal" in result.stdout
    value["data"]["fingerprints"]["train"] = "other"
    path.write_text(json.dumps(value))
    fails(run("ledger", "run", f"{TABLE}-csdm-hard", expect=None), 1, "not the row's", "--data-dir")


def test_sets_that_do_not_belong_together_are_refused(place):
    run("distill", "data", "--teachers", "teachers", "--seed", 2, "--lr", 0.5, "--out", "other")
    run("evaluate", "other", "--data", "data", "--no-controls", "--out", "evaluate-1")
    fails(run("ledger", "add", "evaluate-0", "evaluate-1", expect=None), 1, "seeds 0 and 2", "settings")
    fails(run("ledger", "add", "evaluate-0", "--scale", "full", expect=None), 1, "--scale full", "width 4, not 128")
    fails(run("ledger", "add", "data", expect=None), 1, "no folder that csdm evaluate or compare wrote")
    fails(run("ledger", "run", "none", "--results", "evaluate-0", expect=None), 1, "has no row 'none'")
    assert not Path("results").exists() or not list(Path("results").iterdir())


def test_rows_of_a_comparison(place):
    """The same students, whether evaluate or compare asked for them."""
    first = add()
    row = find_row(f"{TABLE}-csdm-hard", Path("results"))
    own = "distill.calibration=0.01"  # the preset's is another
    run("compare", "--data", "data", "--teachers", "teachers", "--methods", "csdm", "--ipc", 2, "--seeds", 2,
        "--params", "params.yaml", "--set", own, "--out", "compare")  # fmt: skip
    written = json.loads(run("ledger", "add", "compare", "--controls", "--json", "--results", "others").stdout)["rows"]
    assert set(first) < set(written) and f"{TABLE}-full-logit-adjustment" in written
    again = find_row(f"{TABLE}-csdm-hard", Path("others"))
    assert [found.students for found in again.sets] == [found.students for found in row.sets]
    assert again.config == row.config and again.data == row.data
    sources = {found.code.source for found in read_rows(Path("others"))}
    assert sources == {row.code.source} == {source_hash()}  # of selections and all real images as well


def test_every_table_of_a_comparison_has_its_rows(place):
    run("compare", "--data", "data", "--teachers", "teachers", "--methods", "csdm", "--ipc", "1,2", "--seeds", 1,
        "--params", "params.yaml", "--out", "both")  # fmt: skip
    run("ledger", "add", "both", "--controls", "--results", "others")
    rows = read_rows(Path("others"))
    assert {row.table for row in rows} == {TABLE, TABLE.replace("ipc2", "ipc1")}
    assert len(rows) == 2 * 7 and {len(row.sets) for row in rows} == {1}
    fails(run("ledger", "add", "both", "--table", "one", "--results", "more", expect=None), 1, "differ in data or IPC")
    fails(run("ledger", "add", "both", "--table", "One", expect=None), 2, "--table: got 'One', expected lower case")


def test_settings_newer_than_a_row_are_told():
    """They had no say in it, and may have one today."""
    old = made_up()
    assert newer_settings(old, settings_of(old, None)) == []
    del old.config["distill"]["kernel"]
    assert newer_settings(old, settings_of(old, None)) == ["distill.kernel is newer than the row, now rbf"]
