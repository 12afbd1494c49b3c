"""Bring the tables of tuning trials in docs/results.md up to date: `python benchmarks/study/tuned.py`.

Each stands between `<!-- NAME -->` and `<!-- end -->`, and tells what every trial scored on the development set; the
highest of a method is ticked. `tuning` has a line per factor of tuning.yaml (`results/tuning/2026-12`),
`tuning-learning` one per factor of learning.yaml (`results/tuning/2026-12-learning`), `tuning-fifty` one per factor of
tuning50.yaml (`results/tuning/2026-12-ipc50-weights`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pages import with_part
from run import HERE, arms

from csdm_cli.display.markdown import markdown_table
from csdm_cli.storage import atomic

RESULTS = HERE.parents[1] / "results" / "tuning" / "2026-12"
PAGE = HERE.parents[1] / "docs" / "results.md"
LEARNING = HERE.parents[1] / "results" / "tuning" / "2026-12-learning"
FIFTY = HERE.parents[1] / "results" / "tuning" / "2026-12-ipc50-weights"
RATES = ("lr 0.001", "lr 0.003", "lr 0.01")
COMMON = ("calibration 0x", "calibration 0.3x", "calibration 1x", "calibration 3x", "lr 0.003", "lr 0.03")


def main() -> None:
    """Write the tables into the page."""
    page = with_table(PAGE.read_text(encoding="utf-8"), scores())
    page = with_learning(page, scores(HERE / "learning.yaml", LEARNING))
    atomic.write_text(PAGE, with_fifty(page, scores(HERE / "tuning50.yaml", FIFTY)))


def scores(file: Path = HERE / "tuning.yaml", results: Path = RESULTS) -> dict[str, dict[str, float]]:
    """Accuracy in percent by factor of ``file`` and trial, of those that were measured."""
    found: dict[str, dict[str, float]] = {}
    for arm in arms(file, results):
        if arm.file.is_file():
            (only,) = json.loads(arm.file.read_bytes())["sets"]
            found.setdefault(arm.factor, {})[arm.name] = only["accuracy"]
    return found


def with_table(page: str, found: Mapping[str, Mapping[str, float]]) -> str:
    """``page`` with its table as the scores say."""
    table = markdown_table(("tuned", *COMMON, "own weight"), _lines(found), {"tuned", "own weight"})
    return with_part(page, "tuning", table)


def with_learning(page: str, found: Mapping[str, Mapping[str, float]]) -> str:
    """``page`` with the table of the methods that learn through training: above them the start that they share."""
    start = [f"{name}, where all start" for name in found["start"]]
    lines = [[name, f"{value:.1f}", "", ""] for name, value in zip(start, found["start"].values(), strict=True)]
    for method, own in found.items():
        if method != "start":
            lines.append([method, *_ticked(own, RATES)])
    return with_part(page, "tuning-learning", markdown_table(("tuned", *RATES), lines, {"tuned"}))


def with_fifty(page: str, found: Mapping[str, Mapping[str, float]]) -> str:
    """``page`` with the table of the trials at fifty images per class."""
    trials = tuple(dict.fromkeys(name for own in found.values() for name in own))
    lines = [[method, *_ticked(own, trials)] for method, own in found.items()]
    return with_part(page, "tuning-fifty", markdown_table(("tuned", *trials), lines, {"tuned"}))


def _ticked(own: Mapping[str, float], trials: Sequence[str]) -> list[str]:
    """A method's scores by trial, the highest ticked."""
    shown = {name: f"{value:.1f}" + " ✓" * (value == max(own.values())) for name, value in own.items()}
    return [shown.get(name, "–") for name in trials]


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
