"""The tables of tuning trials say what results/tuning says, and the preset is what won there."""

from __future__ import annotations

import tuned
from run import HERE, arms

from csdm_cli.settings.presets import COMMON


def test_the_page_is_up_to_date():
    page = tuned.PAGE.read_text(encoding="utf-8")
    assert tuned.with_table(page, tuned.scores()) == page and "✓" in page
    learning = tuned.scores(HERE / "learning.yaml", tuned.LEARNING)
    assert tuned.with_learning(page, learning) == page and learning["start"]


def test_the_preset_is_the_trial_that_won():
    """It is so for every method that was tuned; dsdm's history is no weight, and has no trial."""
    won: dict[str, tuple[float, dict[str, object]]] = {}
    found = tuned.scores()
    for arm in arms(HERE / "tuning.yaml", tuned.RESULTS):
        method, score = arm.settings["distill"]["method"], found[arm.factor][arm.name]
        if score > won.get(method, (0.0, {}))[0]:
            won[method] = score, arm.settings["distill"]
    assert won.keys() == COMMON.keys()
    for method, (_, settings) in won.items():
        preset = dict(COMMON[method]["distill"])
        option = {name: value for name, value in preset.pop("option", {}).items() if name != "history_start"}
        assert preset.get("calibration") == settings["calibration"] and option == settings.get("option", {})
        assert preset.get("lr", 0.01) == settings.get("lr", 0.01)
