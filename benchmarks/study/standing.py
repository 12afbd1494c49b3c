"""Draw where every method stands, on both long tails: `python benchmarks/study/standing.py`.

The picture, docs/images/methods.png, shows what the tables of docs/results.md say, and carries a hash of its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from pages import new_panels, save

from csdm_cli.display.pictures import ACCENT, INK, MUTED
from csdm_cli.evaluation.scores import pooled_deviation, t_quantile
from csdm_cli.ledger.row import Row
from csdm_cli.ledger.store import read_rows
from csdm_cli.ledger.tables import in_order, is_control
from csdm_cli.methods import module_of
from csdm_cli.storage.keys import content_key

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "images" / "methods.png"
TABLES = {"β = 200": "cifar10-lt200-ipc10-width32-exact", "β = 10": "cifar10-lt10-ipc10-width32-exact"}
KINDS = {  # colour and words of each
    "matching": (ACCENT, "distribution matching"),
    "gradient": ("#1b7f5c", "gradients"),
    "trajectory": ("#3b6fb6", "trajectories"),
    "selection": ("#8a6d3b", "real images by a rule"),
    "control": (MUTED, "controls"),
}
BAND = "#efefef"


@dataclass(frozen=True)
class Mark:
    """A row: its name, the kind of its method, its mean and half of its interval in percent, and how many sets.

    The interval is of the spread that sets of all methods of its table have in common, and of controls the same: random
    images vary more. A row on all real images has no sets, and no interval.
    """

    name: str
    kind: str
    mean: float
    half_width: float | None
    sets: int


Panels = dict[str, list[Mark]]


def main() -> None:
    """Write the picture."""
    draw(panels(read_rows(ROOT / "results")), PICTURE)


def panels(rows: Sequence[Row]) -> Panels:
    """The marks by panel, as the tables have them in order."""
    found = {title: in_order(row for row in rows if row.table == table) for title, table in TABLES.items()}
    return {title: marks(own) for title, own in found.items()}


def marks(rows: Sequence[Row]) -> list[Mark]:
    """A mark per row of one table."""
    spreads = {control: _spread([row for row in rows if is_control(row) is control]) for control in (True, False)}
    return [_mark(row, spreads[is_control(row)]) for row in rows]


def _mark(row: Row, spread: float | None) -> Mark:
    name, mean = row.subject.removesuffix(" (hard labels)"), 100 * row.spread.mean
    if row.is_full_data:
        return Mark(name, kind(row), mean, None, 0)
    sets = len(row.sets)
    return Mark(name, kind(row), mean, None if spread is None else 100 * spread / math.sqrt(sets), sets)


def _spread(rows: Sequence[Row]) -> float | None:
    """Half of the interval of a single set's accuracy, a fraction; None where no row has two sets."""
    seeds = [tuple(row.by_seed.values()) for row in rows if not row.is_full_data]
    deviation = pooled_deviation(seeds)
    return None if deviation is None else t_quantile(sum(len(own) - 1 for own in seeds)) * deviation


def kind(row: Row) -> str:
    """The folder of the row's method, or ``control``."""
    return "control" if is_control(row) else Path(module_of(row.method)).parent.name


def picture_key(found: Panels) -> str:
    """Hash of what is drawn; the picture carries it as its description."""
    return content_key({title: [_told(mark) for mark in own] for title, own in found.items()})


def _told(mark: Mark) -> list[str]:
    half_width = "" if mark.half_width is None else f"{mark.half_width:.3f}"
    return [mark.name, mark.kind, f"{mark.mean:.3f}", half_width, str(mark.sets)]


def draw(found: Panels, path: Path) -> None:
    """A panel per long tail, a line per method in the order of the first panel, with the gap that is to be closed."""
    names = [mark.name for mark in next(iter(found.values()))]
    both = new_panels(8.4, 1.3 + 0.2 * len(names), len(found))
    for axes, (title, own) in zip(both, found.items(), strict=True):
        _panel(axes, own, names)
        axes.set_title(f"CIFAR-10-LT, {title}", fontsize=10, loc="left")
    both[0].set_yticks(range(len(names)), names, fontsize=8)
    figure = both[0].figure
    assert isinstance(figure, Figure)
    dots = [Line2D([], [], marker="o", linestyle="", color=colour, label=told) for colour, told in KINDS.values()]
    band = Patch(color=BAND, label="from random images to the best on all")
    figure.legend(handles=[*dots, band], frameon=False, fontsize=8, ncols=3, loc="outside lower center")
    save(both[0], path, picture_key(found))


def _panel(axes: Axes, own: Sequence[Mark], names: Sequence[str]) -> None:
    """Dots at the means, hollow for one set; the band reaches from random images to the best of all real ones."""
    means = {mark.name: mark.mean for mark in own}
    best = max(mean for name, mean in means.items() if name.startswith("full"))
    axes.axvspan(means["random"], best, color=BAND, zorder=0)
    for mark in own:
        (colour, _), line = KINDS[mark.kind], names.index(mark.name)
        axes.errorbar(
            mark.mean,
            line,
            xerr=mark.half_width,
            fmt="o",
            markersize=5,
            color=colour,
            markerfacecolor="white" if mark.sets == 1 else colour,
            capsize=2,
        )
        reach = mark.mean + (mark.half_width or 0)
        axes.text(reach + 1.5, line, f"{mark.mean:.1f}", va="center", fontsize=7, color=INK)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(15, 85), ylim=(len(names) - 0.4, -0.6), xlabel="test accuracy, %")
    axes.spines[["top", "right", "left"]].set_visible(False)


if __name__ == "__main__":
    main()
