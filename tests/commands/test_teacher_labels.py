"""evaluate --labels teacher: students learn what the set's teachers say of every batch, whose bytes count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from csdm_cli.ledger.measurements import read_measurements
from csdm_cli.teachers.pool import TeacherPool
from tests.command_world import fails, run

TAUGHT = ("--data", "data", "--labels", "teacher")


def evaluated(*options: object) -> dict:
    return json.loads(run("evaluate", *options, "--json", "--out", "out").stdout)


def test_the_sets_own_teachers_label_and_are_counted(workplace):
    found, hard = evaluated("set", *TAUGHT), evaluated("set", "--data", "data")
    assert found["labels"] == "teacher" and found["accuracy"] != hard["accuracy"]
    assert found["labelled_by"]["key"] == TeacherPool.open(Path("teachers")).key
    pool = TeacherPool.open(Path("teachers"))
    weights = [pool.network(number).state_dict() for number in range(2)]
    size = sum(tensor.nbytes for one in weights for tensor in one.values())
    assert found["storage"]["bytes"] == hard["storage"]["bytes"] + size
    assert found["storage"]["numbers"] == hard["storage"]["numbers"] + size // 4
    a_class = hard["storage"]["numbers"] / (2 * 10)  # pixels of one of two images of ten classes
    assert found["storage"]["ipc_equivalent"] == pytest.approx(2 + size / 10 / a_class)


def test_random_images_stand_under_the_same_labels_too(workplace):
    result = run("evaluate", "set", *TAUGHT, "--out", "out")
    for name in ("csdm (teacher labels)", "random (teacher labels)", "tiled-random (teacher labels)"):
        assert name in result.stdout
    assert "Stored, with the teachers that label: " in result.stdout and "of the gap" not in result.stdout
    assert result.stdout.index("random (teacher labels)") < result.stdout.index("tiled-random (teacher labels)")
    assert json.loads(Path("out/summary.json").read_text())["gap"] is None
    alike = json.loads(Path("out/metrics.json").read_text())["controls_under_teacher_labels"]
    run("distill", "data", "--method", "random", "--out", "random")
    run("report", "out", "--out", "report.md")
    run("report", "out", "--out", "page.html")
    run("export", "set", "--to", "huggingface", "--evaluation", "out", "--out", "hub")
    for written in map(Path, ("report.md", "page.html", "hub/README.md")):
        for name in ("csdm (teacher labels)", "random (teacher labels)", "tiled-random (teacher labels)"):
            assert name in written.read_text()
        assert "of the gap" not in written.read_text()
    fails(run("evaluate", "random", *TAUGHT, expect=None), 2, "tells of no teachers", "--teachers")
    again = evaluated("random", *TAUGHT, "--teachers", "teachers", "--no-controls")
    assert again["accuracy"] == alike["random"]["accuracy"]


@pytest.mark.parametrize("method", ["random", "tiled-random"])
def test_a_selection_keeps_its_row_beside_the_control_of_its_name(workplace, method):
    """In the table, in the files and in the ledger; of an import the control's images are others than the set's."""
    run("distill", "data", "--method", "random", "--seed", 3, "--out", "other")
    run("export", "other", "--to", "npz", "--out", "other.npz")
    run("import", "other.npz", "--data", "data", "--method", method, "--out", "named")
    words = ("evaluate", "named", *TAUGHT, "--teachers", "teachers")
    alone = json.loads(run(*words, "--no-controls", "--json", "--out", "alone").stdout)
    table = run(*words, "--out", "out").stdout
    metrics, details = (json.loads(Path(f"out/{name}.json").read_text()) for name in ("metrics", "details"))
    own, control = f"{method} (teacher labels)", f"{method} control (teacher labels)"
    (of_set,) = json.loads(Path("alone/details.json").read_text())["rows"].values()
    assert details["rows"][own] == of_set and 0 < table.index(own) < table.index(control)
    assert details["rows"][control]["key"] != of_set["key"] and metrics["accuracy"] == alone["accuracy"]
    (subject, *beside) = [one for one in read_measurements(Path("out"), controls=True) if one.labels == "teacher"]
    assert subject.subject == own and subject.evaluation.key == of_set["key"]
    alike = metrics["controls_under_teacher_labels"]
    assert {one.method for one in beside} == set(alike) and control in [one.subject for one in beside]
    for one in beside:
        assert 100 * one.evaluation.accuracy.mean == pytest.approx(alike[one.method]["accuracy"]["mean"], abs=1e-3)


def test_the_pool_named_is_the_one_that_labels(workplace):
    own = evaluated("set", *TAUGHT, "--no-controls")
    named = evaluated("set", *TAUGHT, "--no-controls", "--teachers", "teachers")
    assert named == own
    run("pretrain", "data", "--seed", 5, "--out", "others")
    half = evaluated("set", *TAUGHT, "--no-controls", "--precision", "bf16")  # the teachers compute as students do
    assert half["labelled_by"] == own["labelled_by"] and half["storage"] == own["storage"]
    other = evaluated("set", *TAUGHT, "--no-controls", "--teachers", "others")
    assert other["labelled_by"]["seed"] == 5 and other["accuracy"] != own["accuracy"]


def test_the_ledger_takes_what_can_be_run_again(workplace):
    """A set's own teachers are made again from what it tells; beside them, those that --teachers named cannot be."""
    evaluated("set", *TAUGHT, "--no-controls")
    run("ledger", "add", "out", "--table", "taught", "--results", "rows")
    (row,) = [json.loads(file.read_text()) for file in Path("rows").glob("*.json")]
    assert row["labels"] == "teacher" and row["commands"][-1].count("--labels teacher") == 1
    run("pretrain", "data", "--seed", 5, "--out", "others")
    evaluated("set", *TAUGHT, "--no-controls", "--teachers", "others")
    fails(run("ledger", "add", "out", "--table", "other", "--results", "rows", expect=None), 1, "cannot be run again")


def test_the_ledger_takes_a_selection_with_those_who_label_it(workplace):
    """They are told in the place of teachers that made it, of whom there are none."""
    run("distill", "data", "--method", "random", "--params", "params.yaml", "--seed", 3, "--out", "random")
    run("pretrain", "data", "--seed", 5, "--out", "others")
    evaluated("random", *TAUGHT, "--no-controls", "--teachers", "others")
    run("ledger", "add", "out", "--table", "taught", "--results", "rows")
    row = json.loads(Path("rows/taught-random-teacher.json").read_text())
    assert row["config"]["pretrain"]["seed"] == 5 and row["sets"][0]["seed"] == 3
    assert [line.split()[:2] for line in row["commands"]] == [
        ["csdm", "make-lt"], ["csdm", "pretrain"], ["echo", "'pretrain:"], ["csdm", "distill"], ["csdm", "evaluate"]
    ]  # fmt: skip
    assert "--params network.yaml" in row["commands"][3] and "--teachers teachers" in row["commands"][4]
    assert json.loads(run("ledger", "run", "rows/taught-random-teacher.json", "--json").stdout)["bit_equal"]
    run("pretrain", "data", "--width", 6, "--out", "narrow")
    evaluated("random", *TAUGHT, "--no-controls", "--teachers", "narrow")
    fails(run("ledger", "add", "out", "--table", "other", "--results", "rows", expect=None), 1, "of another size")


def test_random_images_beside_a_set_are_rows_of_their_own(workplace):
    """Those under its teachers' labels, and those under hard ones."""
    evaluated("set", *TAUGHT)
    run("ledger", "add", "out", "--controls", "--table", "taught", "--results", "rows")
    rows = {file.stem: json.loads(file.read_text()) for file in Path("rows").glob("taught-*.json")}
    alike = rows["taught-random-teacher"]
    assert alike["method"] == "random" and alike["labels"] == "teacher" and rows["taught-random"]["labels"] == "hard"
    assert alike["config"]["pretrain"] == rows["taught-csdm-teacher"]["config"]["pretrain"]
    assert alike["sets"][0]["students"] != rows["taught-random"]["sets"][0]["students"]
    for name in ("random", "tiled-random"):
        found = run("ledger", "run", f"rows/taught-{name}-teacher.json", "--json").stdout
        assert json.loads(found)["bit_equal"]


def test_cross_arch_and_compare_take_them(workplace):
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("evaluate: {", "evaluate: {labels: teacher, "))
    assert "teacher labels" in run("cross-arch", "set", "--data", "data", "--out", "across").stderr
    table = run("compare", "--data", "data", "--methods", "dm", "--ipc", 2, "--seeds", 1, "--teachers", "teachers",
                "--params", "params.yaml", "--json", "--out", "table")  # fmt: skip
    rows = json.loads(table.stdout)["tables"]["data-ipc2"]["rows"]
    labels, numbers = ({row["name"]: row[name] for row in rows} for name in ("labels", "stored_numbers"))
    assert labels["dm"] == "teacher" and labels["random"] == "hard"
    assert numbers["dm"] > numbers["random"] == 2 * 10 * 16 * 16


def test_what_cannot_be_labelled_is_refused(workplace):
    evaluate = ("evaluate", "set", "--data", "data")
    fails(run(*evaluate, "--teachers", "teachers", expect=None), 2, "--labels teacher", "no effect here")
    fails(run(*evaluate, "--labels", "teacher", "--fairness", expect=None), 2, "--fairness compares stored labels")
    fails(run(*evaluate, "--labels", "teacher", "--protocol", "probe", expect=None), 2, "is of students")
    fails(run("distill", "data", "--labels", "teacher", expect=None), 2, "--labels", "hard", "soft")
    pool = TeacherPool.open(Path("teachers"))
    run("make-lt", "--seed", 3, "--out", "elsewhere")
    run("pretrain", "elsewhere", "--out", "strangers")
    assert TeacherPool.open(Path("strangers")).data != pool.data
    fails(run(*evaluate, "--labels", "teacher", "--teachers", "strangers", expect=None), 1, "trained on another set")
