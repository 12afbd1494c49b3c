"""The tables of tuning trials say what results/tuning says, and the preset is what won there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tuned
from run import HERE, arms

from csdm_cli.methods import load
from csdm_cli.methods.learning import LearningMethod
from csdm_cli.settings.presets import COMMON


def test_the_page_is_up_to_date():
    page = tuned.PAGE.read_text(encoding="utf-8")
    assert tuned.with_table(page, tuned.scores()) == page and "✓" in page
    learning = tuned.scores(HERE / "learning.yaml", tuned.LEARNING)
    assert tuned.with_learning(page, learning) == page and learning["start"]
    fifty = tuned.scores(HERE / "tuning50.yaml", tuned.FIFTY)
    assert tuned.with_fifty(page, fifty) == page and fifty.keys() == {"csdm", "dm"}


def test_what_is_told_of_other_weights_at_fifty_images_was_measured():
    told = " ".join(tuned.PAGE.read_text(encoding="utf-8").split("### Other weights")[1].split("<!--")[0].split())
    trials = tuned.scores(HERE / "tuning50.yaml", tuned.FIFTY)
    gained = {name: [own[name] - own["base"] for own in trials.values()] for name in trials["csdm"]}
    study = (HERE.parents[1] / "docs" / "study.md").read_text(encoding="utf-8")
    noise = 1.96 * 2**0.5 * float(study.split("One set varies by ")[1].split()[0])
    assert max(max(both) for both in gained.values()) < noise and f"two of them, {noise:.1f} points" in told
    lost = [-points for name in ("calibration 0x", "calibration 1x", "lr 0.03") for points in gained[name]]
    assert f"loses {min(lost):.1f} to {max(lost):.1f}." in told


def test_the_further_trials_of_lad_are_told():
    further = tuned.scores(HERE / "lad.yaml", tuned.LEARNING.parent / "2026-12-lad")["lad"]
    told = tuned.PAGE.read_text(encoding="utf-8").split("lad is the rival")[1].split("\n## ")[0]
    lines = [line.split("|") for line in told.splitlines() if line.startswith(("| 1, 0.5", "| 0.1, 1"))]
    first = tuned.scores(HERE / "learning.yaml", tuned.LEARNING)["lad"]["lr 0.001"]
    assert sorted(cells[-2].strip() for cells in lines) == sorted(f"{one:.1f}" for one in [first, *further.values()])


def test_what_is_told_of_the_long_runs_of_lad_was_measured():
    told = " ".join(tuned.PAGE.read_text(encoding="utf-8").split())
    long = json.loads((tuned.LEARNING.parents[1] / "diagnostics" / "lad-long-runs.json").read_bytes())["sets"]
    further = tuned.scores(HERE / "lad.yaml", tuned.LEARNING.parent / "2026-12-lad")["lad"]
    learned, fell = [], {}
    for arm, own in long.items():
        common, *at_learned_rate = own["accuracy on dev, %"].values()
        assert common == pytest.approx(further[arm])
        learned += [f"{score:.1f}" for score in at_learned_rate]
        along = own["losses over their weights, means of 20 iterations"]["trajectory"]
        fell[arm] = f"from {along['first']:.2f} to {along['last']:.2f}"
    assert f"these two sets score {' and '.join(learned)}" in told
    same = "paper weights, 40 steps, 4 points, 300 iterations"
    assert f"{fell['1000 iterations']}, where" in told
    assert f"three experts lower {fell[same]}, rises {fell[f'ten experts, {same}']}: " in told


def best_trials(file: Path, results: Path) -> dict[str, dict[str, Any]]:
    """Settings of distill of the trial that scored highest, by method."""
    won: dict[str, tuple[float, dict[str, Any]]] = {}
    found = tuned.scores(file, results)
    for arm in arms(file, results):
        method, score = arm.settings["distill"]["method"], found.get(arm.factor, {}).get(arm.name, 0.0)
        if score > won.get(method, (0.0, {}))[0]:
            won[method] = score, arm.settings["distill"]
    return {method: settings for method, (_, settings) in won.items()}


def test_the_rate_of_methods_that_learn_is_the_trial_that_won():
    won = best_trials(HERE / "learning.yaml", tuned.LEARNING)
    del won["tiled-random"]  # where they start
    assert won.keys() == {method for method in COMMON if issubclass(load(method), LearningMethod)}
    assert {method: {"distill": {"lr": settings["lr"]}} for method, settings in won.items()} == {
        method: COMMON[method] for method in won
    }


def test_the_preset_is_the_trial_that_won():
    """It is so for every method that was tuned; dsdm's history is no weight, and has no trial."""
    won = best_trials(HERE / "tuning.yaml", tuned.RESULTS)
    assert won.keys() == {method for method in COMMON if not issubclass(load(method), LearningMethod)}
    for method, settings in won.items():
        preset = dict(COMMON[method]["distill"])
        option = {name: value for name, value in preset.pop("option", {}).items() if name != "history_start"}
        assert preset.get("calibration") == settings["calibration"] and option == settings.get("option", {})
        assert preset.get("lr", 0.01) == settings.get("lr", 0.01)
