"""Bring the table and the picture of accuracy for time up to date: `python benchmarks/study/accuracy_for_time.py`.

The table stands in docs/results.md between `<!-- time -->` and `<!-- end -->`, a line per arm of time.yaml; the picture
is docs/images/time.png, which carries a hash of its numbers. Both say what `results/time` says.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pages import new_axes, save, with_part
from run import HERE, arms

from csdm_cli.display.markdown import markdown_table
from csdm_cli.storage import atomic
from csdm_cli.storage.keys import content_key

RESULTS = HERE.parents[1] / "results" / "time"
PAGE = HERE.parents[1] / "docs" / "results.md"
PICTURE = PAGE.parent / "images" / "time.png"
COLUMNS = ("distilled by", "iterations", "seconds", "test accuracy, %", "seconds to the loop's last accuracy")
NAMES = {
    "csdm": "csdm, this engine",
    "dm": "dm, this engine",
    "csdm-textbook": "csdm, textbook loop",
    "ncfm-released": "ncfm, released settings",
}
YARDSTICK = "csdm-textbook"


@dataclass(frozen=True)
class Point:
    """A distilled set: its iterations, the seconds that it took, and its students' accuracy in percent."""

    iterations: int
    seconds: float
    accuracy: float


Curves = Mapping[str, Sequence[Point]]


def main() -> None:
    """Write the table into the page, and the picture beside it."""
    found = curves()
    atomic.write_text(PAGE, with_table(PAGE.read_text(encoding="utf-8"), found))
    draw(found, PICTURE)


def curves(results: Path = RESULTS) -> dict[str, list[Point]]:
    """Points by factor of time.yaml, in the order of their times, of the arms that were measured."""
    found: dict[str, list[Point]] = {}
    for arm in arms(HERE / "time.yaml", results):
        if arm.file.is_file():
            told = json.loads(arm.file.read_bytes())
            iterations = told["settings"]["distill"]["iterations"]
            found.setdefault(arm.factor, []).extend(
                Point(iterations, one["seconds"], one["accuracy"]) for one in told["sets"]
            )
    return {factor: sorted(points, key=lambda point: point.seconds) for factor, points in found.items()}


def with_table(page: str, found: Curves) -> str:
    """``page`` with its table as the points say."""
    goal = max((point.accuracy for point in found.get(YARDSTICK, ())), default=math.inf)
    lines = []
    for factor, points in found.items():
        needed = time_to(goal, points)
        for number, point in enumerate(points):
            told = f"{needed:.0f}" if needed is not None else "not reached"
            cells = (f"{point.iterations:,}", f"{point.seconds:.0f}", f"{point.accuracy:.1f}")
            lines.append([NAMES[factor], *cells, told if number == 0 else ""])
    return with_part(page, "time", markdown_table(COLUMNS, lines, {COLUMNS[0]}))


def time_to(goal: float, points: Sequence[Point]) -> float | None:
    """Seconds at which the points, joined by straight lines over the logarithm of time, first reach ``goal``.

    The first point's time if it is that good already: an upper bound. None if none is.
    """
    for before, after in zip((None, *points), points, strict=False):
        if after.accuracy >= goal:
            if before is None:
                return after.seconds
            share = (goal - before.accuracy) / (after.accuracy - before.accuracy)
            return before.seconds * (after.seconds / before.seconds) ** share
    return None


def picture_key(found: Curves) -> str:
    """Hash of the numbers drawn; the picture carries it as its description."""
    return content_key({name: [[f"{p.seconds:.3f}", f"{p.accuracy:.3f}"] for p in own] for name, own in found.items()})


def draw(found: Curves, path: Path) -> None:
    """A line per factor over logarithmic time."""
    axes = new_axes(6.4, 3.6)
    for number, (factor, points) in enumerate(found.items()):
        seconds, accuracy = [point.seconds for point in points], [point.accuracy for point in points]
        axes.plot(seconds, accuracy, "o-", markersize=4, color=f"C{number}", label=NAMES[factor])
    axes.set(xscale="log", xlabel="seconds of one core to distil, teachers apart", ylabel="test accuracy, %")
    ticks = (20, 50, 100, 200, 500)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.grid(color="#eeeeee")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    save(axes, path, picture_key(found))


if __name__ == "__main__":
    main()
