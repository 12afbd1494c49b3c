"""The results page says what more steps and mirrored images bring students, as the development sets showed it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("section", "trials", "sentence"),
    [
        (
            "Fifty images per class",
            "2026-12-ipc50/csdm",
            "csdm's score {} after 3,000 steps and {} after 8,000, those of its start",
        ),
        ("Fifty images per class", "2026-12-ipc50/tiled-random", "those of its start {} and {} ("),
        (
            "A hundred classes",
            "2026-12-cifar100/tiled-random",
            "students of the start score {} after 3,000 steps and {} after 8,000 (",
        ),
        (
            "Larger images",
            "2026-12-imagenette/tiled-random",
            "students of the start score {} after 3,000 steps and {} after 8,000 (",
        ),
        (
            "Traffic signs",
            "2026-12-gtsrb/tiled-random",
            "students of the start score {} after 3,000 steps and {} after 8,000 (",
        ),
    ],
)
def test_what_more_steps_bring_is_what_was_measured(section: str, trials: str, sentence: str):
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    told = " ".join(page.split(f"## {section}\n")[1].split("What it says:")[0].split())
    folder = ROOT / "results" / "tuning" / trials
    both = [json.loads((folder / f"{steps}-steps.json").read_bytes())["sets"] for steps in ("3-000", "8-000")]
    assert sentence.format(*(f"{only['accuracy']:.1f}" for (only,) in both)) in told


def test_what_mirroring_costs_is_what_was_measured():
    folder = ROOT / "results" / "tuning" / "2026-12-gtsrb" / "tiled-random"
    both = [json.loads((folder / f"3-000-steps{kind}.json").read_bytes())["sets"][0] for kind in ("", "-mirrored")]
    plain, mirrored = (own["accuracy"] for own in both)
    page = " ".join((ROOT / "docs" / "results.md").read_text(encoding="utf-8").split())
    assert f"If signs are mirrored while students train, they score {mirrored:.1f}" in page
    advice = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    assert f"mirroring costs students of the start {plain - mirrored:.0f} points" in advice
