"""evaluate --fairness: which students it compares, and where the scores go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from csdm_cli.evaluation.fairness_scores import label_robust_score
from tests.command_world import fails, run

FORMS = {"standard", "balanced", "tail"}
SCORES = {"hlr", "ior", "ior_plain", "lrs", "ars"}


def evaluated(*options: object) -> dict:
    return json.loads(run("evaluate", *options, "--data", "data", "--fairness", "--json", "--out", "out").stdout)


def test_scores_are_those_of_the_table(workplace):
    """Under hard labels HLR and IOR are differences of the printed rows; the test set of digits is nearly balanced."""
    found = evaluated("set")
    scores, controls = found["fairness"], found["controls"]
    assert set(scores) >= FORMS and set(scores["tail"]) == SCORES
    standard, cross_entropy = scores["standard"], controls["full, cross-entropy"]
    own = found["accuracy"]["mean"]
    assert standard["hlr"]["mean"] == pytest.approx(cross_entropy["accuracy"]["mean"] - own, abs=1e-3)
    assert standard["ior"]["mean"] == pytest.approx(own - controls["random"]["accuracy"]["mean"], abs=1e-3)
    best = controls[scores["full_control"]]
    assert scores["tail"]["hlr"]["mean"] == pytest.approx(best["tail"]["mean"] - found["tail"]["mean"], abs=1e-3)
    assert json.loads(Path("out/metrics.json").read_text())["fairness"] == scores
    rows = json.loads(Path("out/details.json").read_text())["rows"]
    assert {"csdm (hard labels), no augmentation", "random (hard labels), no augmentation"} <= set(rows)
    assert all(0 <= scores[form][name]["mean"] <= 100 for form in FORMS for name in ("lrs", "ars"))


def test_every_student_is_scored_by_itself(workplace):
    found = evaluated("set", "--fairness-weight", 1)
    rows = json.loads(Path("out/details.json").read_text())["rows"]
    own, random = ([run["curve"][-1][1] for run in rows[name]["students"]] for name in ("csdm (hard labels)", "random"))
    expected = [100 * label_robust_score(a - b, 0.3, 1) for a, b in zip(own, random, strict=True)]
    assert found["fairness"]["standard"]["lrs"]["mean"] == pytest.approx(sum(expected) / 2, abs=1e-3)


def test_soft_sets_are_compared_with_random_images_under_the_same_teachers(workplace):
    run("distill", "data", "--labels", "soft", "--temperature", 2, "--prior-calibration", 0.5, "--out", "soft")
    result = run("evaluate", "soft", "--data", "data", "--fairness", "--out", "out")
    assert "to train first" not in result.stderr and "not to the bit" not in result.stderr
    for word in ("fairness", "LRS", "ARS", "HLR", "tail classes"):
        assert word in result.stdout
    rows = json.loads(Path("out/details.json").read_text())["rows"]
    assert {
        "csdm (hard labels)",
        "csdm (soft labels), no augmentation",
        "random (soft labels)",
        "random (soft labels), no augmentation",
    } <= set(rows)
    run("distill", "data", "--method", "random", "--labels", "soft", "--temperature", 2,
        "--prior-calibration", 0.5, "--out", "random")  # fmt: skip
    same = json.loads(run("evaluate", "random", "--data", "data", "--json", "--out", "other").stdout)
    mean = rows["random (soft labels)"]["metrics"]["accuracy"]["mean"]
    assert same["accuracy"]["mean"] == pytest.approx(100 * mean, abs=1e-3)


def test_it_needs_the_controls_and_the_teachers(workplace):
    evaluate = ("evaluate", "set", "--data", "data")
    fails(run(*evaluate, "--fairness", "--no-controls", expect=None), 2, "controls")
    fails(run(*evaluate, "--fairness-weight", 0.3, expect=None), 2, "no effect without fairness")
    run("distill", "data", "--teachers", "teachers", "--labels", "soft", "--out", "soft")
    exported = json.loads(run("export", "soft", "--to", "npz", "--json").stdout)["path"]
    foreign = ("evaluate", "--images", exported, "--data", "data", "--out", "out", "--fairness")
    fails(run(*foreign, expect=None), 1, "the teachers that gave them")
