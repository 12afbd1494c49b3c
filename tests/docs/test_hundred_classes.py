"""The results page on a hundred classes says what was measured."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_students_of_a_thousand_images_are_done():
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    told = " ".join(page.split("## A hundred classes\n")[1].split("What it says:")[0].split())
    folder = ROOT / "results" / "tuning" / "2026-12-cifar100" / "tiled-random"
    both = [json.loads((folder / f"{steps}-steps.json").read_bytes())["sets"] for steps in ("3-000", "8-000")]
    scores = [f"{only['accuracy']:.1f}" for (only,) in both]
    assert "those of the start score {} after 3,000 steps and {} after 8,000".format(*scores) in told
