"""The study's picture: every arm's difference to base with its interval, factor by factor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pages import new_axes, save

from csdm_cli.display.pictures import ACCENT, INK, MUTED
from csdm_cli.storage.keys import content_key

BETTER = "#1b7f5c"


@dataclass(frozen=True)
class Mark:
    """An arm's difference in points, half of its interval, and what that says (see ``Difference.significance``)."""

    name: str
    mean: float
    half_width: float
    significance: str


def picture_key(groups: Mapping[str, Sequence[Mark]]) -> str:
    """Hash of the numbers drawn; the picture carries it as its description."""
    numbers = {g: [[m.name, f"{m.mean:.3f}", f"{m.half_width:.3f}"] for m in marks] for g, marks in groups.items()}
    return content_key(numbers)


def draw(groups: Mapping[str, Sequence[Mark]], path: Path) -> None:
    """A forest plot, arms from above in the order given; those without a difference are pale."""
    rows = sum(len(marks) for marks in groups.values()) + len(groups)
    axes = new_axes(7.2, 0.8 + 0.2 * rows)
    names: list[str] = []
    headings = []
    for group, marks in groups.items():
        headings.append(len(names))
        names.append(group)
        for mark in marks:
            colour = {"n": MUTED, "b": BETTER, "w": ACCENT}[mark.significance[0]]
            axes.errorbar(mark.mean, len(names), xerr=mark.half_width, fmt="o", markersize=4, color=colour, capsize=2)
            names.append(mark.name)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    labels = axes.get_yticklabels()
    for place in headings:
        labels[place].set_fontweight("bold")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#eeeeee")
    axes.set_axisbelow(True)
    axes.set(ylim=(len(names) - 0.3, -0.7), xlabel="accuracy against base, percentage points, with 95 % interval")
    axes.spines[["top", "right", "left"]].set_visible(False)
    save(axes, path, picture_key(groups))
