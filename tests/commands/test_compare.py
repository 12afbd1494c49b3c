"""Several methods side by side: what stands in the tables, what is made again, and what goes wrong."""

from __future__ import annotations

import csv
import json
import math
import shutil
import statistics
from pathlib import Path

import pytest
from PIL import Image

from csdm_cli.artifacts.file import load_distilled
from csdm_cli.evaluation.scores import ClassGroups, Scores, share_of_gap_closed
from csdm_cli.ledger.measurements import read_measurements
from csdm_cli.methods import load
from csdm_cli.settings import presets
from tests.command_world import World, break_writes, fails, names, run

COMMAND = [*("compare", "--params", "params.yaml", "--data", "data", "--teachers", "teachers")]
TINY = [*COMMAND, *("--methods", "dm,herding", "--ipc", "2", "--seeds", "2", "--set", "distill.iterations=2")]
FULL = ["full, cross-entropy", "full, logit-adjustment", "full, balanced-softmax", "full, debiased"]
TABLE = "data-ipc2"


@pytest.fixture(scope="module")
def finished(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the comparison has run; never written to."""
    place = tmp_path_factory.mktemp("compared") / "work"
    world.copy_to(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("CSDM_CACHE", str(place / "cache"))
        patch.setenv("CSDM_TRACKING", "none")
        run(*TINY)
    return place


@pytest.fixture
def inside(finished, monkeypatch):
    """That folder, entered; nothing in it is made, taught or tested again."""
    monkeypatch.chdir(finished)
    monkeypatch.setenv("CSDM_CACHE", str(finished / "cache"))
    before = expensive(finished)
    yield finished
    assert expensive(finished) == before


def expensive(place: Path) -> dict[str, int]:
    """When each file was written that takes training: data, teachers, sets and what students scored."""
    made = [*place.rglob("*.safetensors"), *place.rglob("evaluations/**/*.json")]
    return {path.relative_to(place).as_posix(): path.stat().st_mtime_ns for path in made if path.is_file()}


def rows_of(folder: Path) -> dict[str, dict]:
    (table,) = json.loads((folder / "compare.json").read_text())["tables"].values()
    return {row["name"]: row for row in table["rows"]}


def test_every_row_follows_from_its_students(finished):
    """Recomputed from the confusion matrices in the file: all students of all sets in one mean and one spread."""
    rows = rows_of(finished / "artifacts/compare")
    assert list(rows) == ["dm", "herding", "random", "tiled-random", *FULL]
    full = max(rows[name]["scores"]["accuracy"]["mean"] for name in FULL)
    for row in rows.values():
        students = [
            Scores.of(student["confusion"], ClassGroups(**evaluation["groups"]))
            for evaluation in row["evaluations"]
            for student in evaluation["students"]
        ]
        for name in ("accuracy", "head", "medium", "tail", "worst_class"):
            values = [100 * getattr(score, name) for score in students]
            found = row["scores"][name]
            assert found["students"] == len(values) and found["mean"] == pytest.approx(
                statistics.fmean(values), abs=1e-3
            )
            assert found["std"] == pytest.approx(statistics.stdev(values), abs=1e-3)
        best = row["scores"]["best_on_test"]["mean"]
        assert best >= row["scores"]["accuracy"]["mean"]
        random = rows["random"]["scores"]["accuracy"]["mean"]
        expected = share_of_gap_closed(row["scores"]["accuracy"]["mean"], random, full)
        assert row["share_of_gap_closed"] == (expected if expected is None else pytest.approx(expected, abs=1e-3))
    assert rows["dm"]["scores"]["accuracy"]["students"] == 4 and len(rows["dm"]["sets"]) == 2
    assert rows["herding"]["scores"]["accuracy"]["students"] == 2, "equal sets count once"
    assert len(rows[FULL[0]]["evaluations"]) == 1 and not rows[FULL[0]]["sets"]


def test_every_set_can_be_made_again_from_what_is_written(finished):
    result = json.loads((finished / "artifacts/compare/compare.json").read_text())
    assert {"settings", "commit", "dirty", "finished", "device", "machine", "versions", "source", "tables"} == set(
        result
    )
    table = result["tables"][TABLE]
    assert table["tested_on"] == "test" and table["failed"] == {} and len(table["data"]["fingerprints"]["train"]) == 64
    for row in table["rows"]:
        for number, made in enumerate(row["sets"]):
            distilled = load_distilled(finished / made["file"])
            assert made["seed"] == number == distilled.provenance.seed and made["config"]["run"] == made["run"]
            assert made["config"]["distill"]["method"] == row["method"] and made["record"]["wall_seconds"] > 0
            assert row["storage_bytes"] == distilled.images.nbytes + distilled.labels.nbytes
            assert (row["labels"], row["factor"]) == ("hard", distilled.decoding.factor)
        assert row["protocol"]["steps"] == 4 and row["protocol"]["network"]["width"] == 4
        assert row["distilled_under"] == ("crop_scale" if row["name"] == "dm" else None)
    tiled = next(row for row in table["rows"] if row["name"] == "tiled-random")
    assert tiled["factor"] == 2 and tiled["control"] is True


def test_csv_metrics_and_picture_agree_with_it(finished):
    folder = finished / "artifacts/compare"
    rows = rows_of(folder)
    lines = {line["row"]: line for line in csv.DictReader((folder / "compare.csv").open())}
    metrics = json.loads((folder / "metrics.json").read_text())[TABLE]
    assert list(lines) == list(rows) and set(metrics) == set(rows)
    for name, row in rows.items():
        accuracy = row["scores"]["accuracy"]
        assert float(lines[name]["accuracy"]) == accuracy["mean"] == metrics[name]["accuracy"]["mean"]
        assert int(lines[name]["storage_bytes"]) == row["storage_bytes"] and lines[name]["labels"] == "hard"
        assert lines[name]["dataset"] == "digits" and lines[name]["ipc"] == "2"
    assert lines["dm"]["sets"] == "2" and lines["dm"]["students"] == "4" and lines[FULL[0]]["sets"] == ""
    with Image.open(folder / "accuracy.png") as picture:
        assert min(picture.size) > 100


@pytest.mark.parametrize("columns", [80, 120])
def test_a_second_call_trains_nothing_and_prints_the_same_table(inside, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    before = (inside / "artifacts/compare/metrics.json").read_bytes()
    shown = run(*TINY).stdout
    assert len(expensive(inside)) > 20
    assert "…" not in shown and all(len(line) <= columns for line in shown.splitlines())
    assert (inside / "artifacts/compare/metrics.json").read_bytes() == before
    for text in (
        "dm",
        "herding",
        "tiled-random",
        *FULL,
        "worst",
        "gap",
        "numbers",
        "bytes",
        "as IPC",
        "stored as",
        "2 × 2",
        "1 × 2",
    ):
        assert text in shown
    assert "convnet of width 4, 4 steps" in shown and "Distilled under: crop_scale" in shown


def test_a_part_of_it_is_there_too(inside):
    result = json.loads(run(*TINY, "--methods", "random,dm", "--seeds", "1", "--out", "part", "--json").stdout)
    rows = {row["name"]: row for row in result["tables"][TABLE]["rows"]}
    assert list(rows) == ["dm", "random", "tiled-random", *FULL], "the control random stands there once"
    whole = rows_of(inside / "artifacts/compare")
    assert rows["dm"]["sets"][0]["run"] == whole["dm"]["sets"][0]["run"]


def test_report_shows_it(inside):
    shown = run("report", "artifacts/compare").stdout
    assert "herding" in shown and TABLE in shown


def test_sets_that_distill_made_are_taken(workplace, monkeypatch):
    common = ["--params", "params.yaml", "--teachers", "teachers", "--method", "dm", "--iterations", "2"]
    run("distill", "data", *common, "--preset", "common", "--out", "artifacts/by-hand")
    result = json.loads(run(*TINY, "--methods", "dm", "--seeds", "1", "--json").stdout)
    (made,) = result["tables"][TABLE]["rows"][0]["sets"]
    assert made["file"] == "artifacts/by-hand/distilled.safetensors"


def test_a_failed_method_names_itself_and_the_others_go_on(workplace, monkeypatch):
    """Its loss is not a number, which the loop finds out."""
    dm = load("dm")
    losses = dm.losses
    monkeypatch.setattr(dm, "losses", lambda *given: {name: math.nan * loss for name, loss in losses(*given).items()})
    result = run(*TINY, "--seeds", "1", "--json", expect=None)
    assert result.exit_code == 1
    (error,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    table = json.loads(result.stdout)["tables"][TABLE]
    assert [row["name"] for row in table["rows"]] == ["herding", "random", "tiled-random", *FULL]
    assert set(table["failed"]) == {"dm"} and f"dm ({table['failed']['dm']})" in error and "herding" not in error


def in_the_way(workplace) -> None:
    """No student's result can be kept, so that no row succeeds."""
    (workplace.parent / "cache").mkdir()
    (workplace.parent / "cache/evaluations").write_text("in the way")


def test_when_everything_fails_it_says_so(workplace):
    in_the_way(workplace)
    result = run(*TINY, "--seeds", "1", "--json", "--tracking", "csv", expect=None)
    tracked = [json.loads(path.read_text()) for path in (workplace.parent / "cache/runs").glob("*/run.json")]
    (comparison,) = [one for one in tracked if one["parent"] is None]
    assert comparison["status"] == "FAILED"
    table = json.loads(result.stdout)["tables"][TABLE]
    assert table["rows"] == [] and set(table["failed"]) == {"dm", "herding", "random", "tiled-random", "full"}
    (error,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.exit_code == 1 and all(f"{name} ({text})" in error for name, text in table["failed"].items())
    assert "wrote" not in result.stderr, "tables of an earlier call stay"


def test_tables_that_cannot_be_written_do_not_hide_what_failed(workplace, monkeypatch):
    dm = load("dm")
    losses = dm.losses
    monkeypatch.setattr(dm, "losses", lambda *given: {name: math.nan * loss for name, loss in losses(*given).items()})
    with break_writes(0):
        result = run(*TINY, expect=None)
    assert result.exit_code == 1 and "space" in result.stderr and "rows failed: dm (" in result.stderr


def test_our_own_faults_are_not_taken_for_a_methods_failure(workplace, monkeypatch):
    monkeypatch.setattr(load("dm"), "losses", lambda *_: 1 / 0)
    assert isinstance(run(*TINY, expect=None).exception, ZeroDivisionError)


def test_after_ctrl_c_the_same_command_goes_on(workplace, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    words = [*TINY, "--methods", "herding,k-center", "--seeds", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(load("k-center"), "rule", interrupt)
        result = run(*words, expect=None)
    assert result.exit_code == 130 and "the same command goes on" in result.stderr
    kept = expensive(workplace.parent)
    (first,) = Path("artifacts/compare").glob("*/distilled.safetensors")
    assert load_distilled(first).provenance.method == "herding"
    run(*words)
    assert expensive(workplace.parent).items() >= kept.items()
    made = [load_distilled(path).provenance.method for path in Path("artifacts/compare").glob("*/*.safetensors")]
    assert sorted(made) == ["herding", "k-center", "random", "tiled-random"]


def test_long_tailed_sets_are_made_once_and_each_has_a_table(workplace):
    words = ["compare", "--params", "params.yaml", "--methods", "herding", "--ipc", "1,2", "--seeds", "1"]
    words += ["--imbalance", "2,4", "--set", "pretrain.teachers=1", "--set", "evaluate.students=1", "--json"]
    tables = json.loads(run(*words).stdout)["tables"]
    assert {(table["data"]["imbalance"], table["ipc"]) for table in tables.values()} == {(2, 1), (2, 2), (4, 1), (4, 2)}
    assert len(list(Path("data").glob("digits-lt*/manifest.json"))) == 2
    before = expensive(workplace.parent)
    assert json.loads(run(*words).stdout)["tables"].keys() == tables.keys()
    assert expensive(workplace.parent) == before


def test_tuning_looks_at_the_development_set(workplace, monkeypatch):
    """A trial is one method with another setting; the test images are not even there."""
    Path("data", "test.safetensors").unlink()
    words = [*TINY, "--methods", "dm", "--seeds", "1", "--split", "dev", "--set", "distill.lr=0.2"]
    result = run(*words, "--json")
    assert "the same for all methods, whatever their own choice: distill.lr\n" in result.stderr
    table = json.loads(result.stdout)["tables"][TABLE]
    split = {row["split"] for row in json.loads(Path("artifacts/compare/metrics.json").read_text())[TABLE].values()}
    shown = run("report", "artifacts/compare").stdout
    assert split == {"dev"} and f"{TABLE}, over sets and students, tested on the dev set" in shown
    run("report", "artifacts/compare", "--out", "page.html")
    page = Path("page.html").read_text()
    assert "In % of the dev images" in page and "test images" not in page
    assert table["tested_on"] == "dev" and table["rows"][0]["sets"][0]["config"]["distill"]["lr"] == 0.2


def test_tuned_settings_are_below_the_file(workplace):
    """Those that csdm comes with; params.yaml has draws, which no preset changes."""
    words = [*TINY, "--methods", "dm,idm,wmdd", "--seeds", "1", "--set", "distill.option.none=1"]
    fails(run(*words, expect=None), 2, "distill.option.none: none of dm, idm, wmdd")
    table = json.loads(run(*words[:-2], "--json").stdout)["tables"][TABLE]
    found = {row["name"]: row["sets"][0]["config"]["distill"] for row in table["rows"][:3]}
    for method, own in found.items():
        tuned = presets.COMMON[method]["distill"]
        assert str(own["calibration"]) == str(tuned["calibration"]), method
        assert {name: float(own["option"][name]) for name in tuned.get("option", {})} == tuned.get("option", {}), method
        assert own["draws"] == 2, method
    assert len({str(own["calibration"]) for own in found.values()}) == 3
    pinned = [*words[:-2], "--methods", "dm,iid", "--set", "distill.calibration=0.5", "--json"]
    table = json.loads(run(*pinned).stdout)["tables"][TABLE]
    assert [row["sets"][0]["config"]["distill"]["calibration"] for row in table["rows"][:2]] == [0.5, 0.5]


def test_sets_of_other_numbers_stand_beside_their_start(workplace):
    words = [*TINY, "--methods", "dm", "--seeds", "1", "--set", "distill.parameterization=frequency", "--out", "out"]
    table = json.loads(run(*words, "--json").stdout)["tables"][TABLE]
    rows = {row["name"]: row for row in table["rows"]}
    assert list(rows) == ["dm", "random", "start", *FULL] and rows["start"]["control"]
    own, start = rows["dm"], rows["start"]
    told = ("stored_numbers", "ipc_equivalent", "parameterization", "storage_bytes")
    assert [own[name] for name in told] == [start[name] for name in told] and own["parameterization"] == "frequency"
    assert own["sets"][0]["images_sha256"] != start["sets"][0]["images_sha256"]
    found = {one.subject: one for one in read_measurements(Path("out"), controls=True)}
    assert found["start"].method == "start" and found["dm (hard labels)"].method == "dm"


def test_own_parameters_go_to_the_methods_that_have_them(workplace):
    words = [*TINY, "--methods", "dm,m3d", "--seeds", "1", "--set", "distill.option.second=0.5", "--json"]
    table = json.loads(run(*words).stdout)["tables"][TABLE]
    found = {row["name"]: row["sets"][0]["config"]["distill"]["option"] for row in table["rows"][:2]}
    assert found == {"dm": {}, "m3d": {"second": "0.5"}}


def test_a_finished_set_is_not_tested_on_the_images_that_its_labels_were_chosen_on(workplace):
    words = ("--method", "random", "--labels", "soft", "--prior-calibration", "auto", "--out", "soft")
    run("distill", "data", "--teachers", "teachers", *words)
    result = run(*TINY, "--methods", "herding", "--seeds", "1", "--split", "dev", "--with", "soft", expect=None)
    assert result.exit_code == 1 and "error: 1 of the rows failed: random, soft (--split dev: " in result.stderr
    assert "random, soft" not in rows_of(Path("artifacts/compare"))


def test_rows_that_teachers_label_close_no_gap(workplace):
    """Its ends are under hard labels."""
    run(*TINY, "--methods", "dm", "--seeds", "1", "--set", "evaluate.labels=teacher")
    rows = rows_of(Path("artifacts/compare"))
    assert (rows["dm"]["labels"], rows["random"]["labels"]) == ("teacher", "hard")
    assert rows["dm"]["share_of_gap_closed"] is None


def test_rows_evaluated_by_other_students_have_controls_of_their_own(workplace, monkeypatch):
    paper = {"evaluate": {"lr": 0.02}, "distill": {"factor": 1}}
    monkeypatch.setattr(load("dm"), "paper", classmethod(lambda cls, ipc: paper))
    table = json.loads(run(*TINY, "--seeds", "1", "--preset", "paper", "--json").stdout)["tables"][TABLE]
    rows = {row["name"]: row for row in table["rows"]}
    lr = {name: row["protocol"]["recipe"]["lr"] for name, row in rows.items()}
    assert lr["dm"] == lr["random, as dm"] == lr[f"{FULL[0]}, as dm"] == 0.02
    assert lr["herding"] == lr["random, as herding"] == lr[f"{FULL[0]}, as herding"] == 1e-3
    assert rows["dm"]["factor"] == 1 and "tiled-random, as dm" not in rows and "tiled-random, as herding" in rows
    for own in ("dm", "herding"):
        full = max(rows[f"{name}, as {own}"]["scores"]["accuracy"]["mean"] for name in FULL)
        beside = rows[f"random, as {own}"]["scores"]["accuracy"]["mean"]
        expected = share_of_gap_closed(rows[own]["scores"]["accuracy"]["mean"], beside, full)
        assert rows[own]["share_of_gap_closed"] == (expected if expected is None else pytest.approx(expected, abs=1e-3))


def test_each_set_is_a_run_below_the_comparison(inside, tmp_path, monkeypatch):
    monkeypatch.setenv("CSDM_CACHE", str(tmp_path / "cache"))  # where runs are kept
    shutil.copytree(inside / "cache", tmp_path / "cache")
    run(*TINY, "--tracking", "csv")
    runs = [json.loads(path.read_text()) for path in sorted((tmp_path / "cache/runs").glob("*/run.json"))]
    (parent,) = [one for one in runs if one["parent"] is None]
    assert parent["command"] == "compare" and json.loads(parent["params"]["compare.methods"]) == ["dm", "herding"]
    children = {one["name"]: one for one in runs if one["parent"]}
    assert {Path(one["parent"]).parent for one in children.values()} == {tmp_path / "cache/runs"}
    assert len({one["parent"] for one in children.values()}) == 1
    methods = ("dm", "herding", "random", "tiled-random")
    assert set(children) == {f"{method} ipc2 seed{seed}" for method in methods for seed in (0, 1)}
    for name, one in children.items():
        method, _, seed = name.split()
        assert (one["tags"]["method"], f"seed{one['tags']['seed']}") == (method, seed)


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--methods", "dmm"], 2, ["--methods", "dmm", "dm"]),
        (["--methods", "dm,dm"], 2, ["--methods"]),
        (["--ipc", "0"], 2, ["--ipc", "0"]),
        (["--seeds", "0"], 2, ["--seeds", "0"]),
        (["--imbalance", "0.5"], 2, ["--imbalance", "0.5"]),
        (["--imbalance", "5"], 2, ["--data", "--imbalance"]),
        (["--preset", "own"], 2, ["--preset", "own", "common", "paper"]),
        (["--set", "distill.lrr=1"], 2, ["--set", "distill.lrr", "lr"]),
        (["--set", "distill.lr=fast"], 2, ["--set", "distill.lr", "fast"]),
        (["--set", "make_lt.seed=1"], 2, ["make_lt.seed=1", "pretrain", "distill", "evaluate"]),
        (["--set", "lr"], 2, ["lr", "SECTION.NAME=VALUE"]),
        (["--set", "distill.seed=1"], 2, ["distill.seed"]),
        (["--set", "evaluate.fairness=true"], 2, ["evaluate.fairness"]),
        (["--set", "distill.lr=1", "--set", "distill.lr=2"], 2, ["distill.lr"]),
        (["--data", "nowhere"], 1, ["nowhere", "csdm make-lt"]),
        (["--teachers", "nowhere"], 1, ["nowhere"]),
    ],
)
def test_bad_input_is_one_line_that_names_it(workplace, arguments, code, named):
    names(run(*TINY, *arguments, expect=None), code, *named)
    assert not Path("artifacts").exists()


def test_a_described_set_that_cannot_be_made_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names(run("compare", "--dataset", "folder", expect=None), 2, "folder", "data_dir")
