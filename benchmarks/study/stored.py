"""Bring the table of one byte budget in docs/parameterisations.md up to date: `python benchmarks/study/stored.py`.

It stands between `<!-- storage -->` and `<!-- end -->`: a line per parameterisation and budget of storage.yaml, with
what it starts from, what every learning rate scored on the development set, and the bytes of a set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pages import with_part
from run import HERE, arms

from csdm_cli.display.markdown import markdown_table
from csdm_cli.storage import atomic

RESULTS = HERE.parents[1] / "results" / "storage" / "2026-12"
PAGE = HERE.parents[1] / "docs" / "parameterisations.md"
TUNED = 0.01  # the learning rate of pixels, which have no other
COLUMNS = ("stored as", "IPC", "bytes", "start")


@dataclass
class Budget:
    """One parameterisation at one budget as it was measured: accuracies in percent, and the bytes of its sets."""

    start: float | None = None
    by_rate: dict[float, float] = field(default_factory=dict)
    stored: int = 0


def main() -> None:
    """Write the table into the page."""
    atomic.write_text(PAGE, with_table(PAGE.read_text(encoding="utf-8"), measured()))


def measured(results: Path = RESULTS) -> dict[tuple[str, int], Budget]:
    """The results by parameterisation and images per class, in the order of storage.yaml."""
    found: dict[tuple[str, int], Budget] = {}
    for arm in sorted(arms(HERE / "storage.yaml", results), key=lambda arm: arm.factor == "start"):
        if arm.file.is_file():
            (only,) = json.loads(arm.file.read_bytes())["sets"]
            settings = arm.settings["distill"]
            budget = found.setdefault((settings["parameterization"], settings["ipc"]), Budget())
            budget.stored = only["storage"]["bytes"]
            if arm.factor == "start":
                budget.start = only["accuracy"]
            else:
                budget.by_rate[settings.get("lr", TUNED)] = only["accuracy"]
    return found


def with_table(page: str, found: Mapping[tuple[str, int], Budget]) -> str:
    """``page`` with its table as the scores say."""
    tried = sorted({rate for budget in found.values() for rate in budget.by_rate})
    lines = [
        [
            kind,
            str(ipc),
            f"{budget.stored:,}",
            _shown(budget.start),
            *(_shown(budget.by_rate.get(rate)) for rate in tried),
        ]
        for (kind, ipc), budget in found.items()
    ]
    columns = (*COLUMNS, *(f"lr {rate}" for rate in tried))
    return with_part(page, "storage", markdown_table(columns, lines, {"stored as"}))


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


if __name__ == "__main__":
    main()
