"""Bring the table of tuning trials in docs/results.md up to date: `python benchmarks/study/tuned.py`.

It stands between `<!-- tuning -->` and `<!-- end -->`, a line per factor of tuning.yaml, and tells what every trial
scored on the development set (`results/tuning/2026-12`); the highest of a method is ticked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pages import with_part
from run import HERE, arms

from csdm_cli.display.markdown import markdown_table
from csdm_cli.storage import atomic

RESULTS = HERE.parents[1] / "results" / "tuning" / "2026-12"
PAGE = HERE.parents[1] / "docs" / "results.md"
COMMON = ("calibration 0x", "calibration 0.3x", "calibration 1x", "calibration 3x", "lr 0.003", "lr 0.03")


def main() -> None:
    """Write the table into the page."""
    atomic.write_text(PAGE, with_table(PAGE.read_text(encoding="utf-8"), scores()))


def scores() -> dict[str, dict[str, float]]:
    """Accuracy in percent by factor of tuning.yaml and trial, of those that were measured."""
    found: dict[str, dict[str, float]] = {}
    for arm in arms(HERE / "tuning.yaml", RESULTS):
        if arm.file.is_file():
            (only,) = json.loads(arm.file.read_bytes())["sets"]
            found.setdefault(arm.factor, {})[arm.name] = only["accuracy"]
    return found


def with_table(page: str, found: Mapping[str, Mapping[str, float]]) -> str:
    """``page`` with its table as the scores say."""
    table = markdown_table(("tuned", *COMMON, "own weight"), _lines(found), {"tuned", "own weight"})
    return with_part(page, "tuning", table)


def _lines(found: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    """The trials of each method, and those of its own weight in a line below."""
    best: dict[str, float] = {}
    for factor, own in found.items():
        best[_method(factor)] = max(best.get(_method(factor), 0.0), *own.values())
    lines = []
    for factor, own in found.items():
        shown = {name: f"{value:.1f}" for name, value in own.items()}
        shown = {name: f"{text} ✓" if own[name] == best[_method(factor)] else text for name, text in shown.items()}
        others = ", ".join(f"{name} {text}" for name, text in shown.items() if name not in COMMON)
        named = factor.replace("-", ", ", 1).replace("-", " ")
        lines.append([named, *(shown.get(name, "–") for name in COMMON), others])
    return lines


def _method(factor: str) -> str:
    return factor.partition("-")[0]


if __name__ == "__main__":
    main()
