"""PNG pictures of a run: the same numbers give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csdm_cli.safe_text import in_picture
from csdm_cli.storage import kinds, outputs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, ACCENT, MUTED = "#222222", "#c1440e", "#8a9ba8"


def loss_curve(history: Mapping[str, Sequence[float]], path: Path) -> None:
    """Every loss term over the steps, logarithmic, thin as measured and bold as a running mean."""
    figure, axes = _figure(6.4, 3.6)
    for number, (name, values) in enumerate(sorted(history.items())):
        steps = range(1, len(values) + 1)
        axes.plot(steps, values, linewidth=0.5, alpha=0.35, color=f"C{number}")
        axes.plot(steps, _running_mean(values, max(1, len(values) // 40)), color=f"C{number}", label=in_picture(name))
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    axes.legend(frameon=False)
    _save(figure, path)


def confusion(matrix: Sequence[Sequence[int]], class_names: Sequence[str], path: Path) -> None:
    """Share of each true class (row) that was given each label (column)."""
    classes = len(matrix)
    side = min(12.0, 2.4 + 0.42 * classes)
    figure, axes = _figure(side, side)
    shares = [[count / max(1, sum(row)) for count in row] for row in matrix]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if classes <= 20:
        names = [in_picture(name) for name in class_names]
        axes.set_xticks(range(classes), names, rotation=60, ha="right")
        axes.set_yticks(range(classes), names)
        for row, column in ((r, c) for r in range(classes) for c in range(classes)):
            share = shares[row][column]
            if share >= 0.005:
                colour = "white" if share > 0.6 else INK
                axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=colour)
    axes.set(xlabel="predicted", ylabel="true")
    _save(figure, path)


def accuracies(rows: Sequence[tuple[str, float, float]], path: Path) -> None:
    """Bars of (name, mean, standard deviation), in percent, the first row being the set itself."""
    figure, axes = _figure(6.4, 0.9 + 0.42 * len(rows))
    names = [in_picture(name, 80) for name, _, _ in rows]
    means = [mean for _, mean, _ in rows]
    spreads = [spread for _, _, spread in rows]
    colours = [ACCENT] + [MUTED] * (len(rows) - 1)
    axes.barh(names, means, xerr=spreads, color=colours, error_kw={"elinewidth": 1, "ecolor": INK})
    for position, (mean, spread) in enumerate(zip(means, spreads, strict=True)):
        axes.text(mean + spread + 0.8, position, f"{mean:.1f}", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="test accuracy in %, mean and standard deviation over students", xlim=(0, 105))
    _save(figure, path)


def comparison(tables: Mapping[str, Sequence[tuple[str, float, float, bool]]], axis: str, path: Path) -> None:
    """One panel per table, of bars of (name, mean, standard deviation, whether it is a control), in percent."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    heights = [0.6 + 0.3 * len(rows) for rows in tables.values()]
    figure = Figure(figsize=(7.2, 0.5 + sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(tables), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (title, rows) in zip(panels, tables.items(), strict=True):
        names, means, spreads, controls = zip(*rows, strict=True)
        colours = [MUTED if control else ACCENT for control in controls]
        axes.barh(range(len(rows)), means, xerr=spreads, color=colours, error_kw={"elinewidth": 1, "ecolor": INK})
        axes.set_yticks(range(len(rows)), [in_picture(name, 80) for name in names])
        for position, (mean, spread) in enumerate(zip(means, spreads, strict=True)):
            axes.text(mean + spread + 0.8, position, f"{mean:.1f}", va="center", fontsize=8)
        axes.invert_yaxis()
        axes.set_title(in_picture(title, 160), fontsize=10, loc="left")
        axes.set(xlim=(0, 105))
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].set(xlabel=axis)
    _save(figure, path)


def phases(bars: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Stacked bars: seconds of each phase (inner key) for each setting (outer key)."""
    figure, axes = _figure(6.4, 0.9 + 0.5 * len(bars))
    left = dict.fromkeys(bars, 0.0)
    for number, phase in enumerate(dict.fromkeys(name for bar in bars.values() for name in bar)):
        widths = [bar.get(phase, 0.0) for bar in bars.values()]
        axes.barh(list(bars), widths, left=list(left.values()), label=phase, color=f"C{number}")
        left = {name: left[name] + width for name, width in zip(left, widths, strict=True)}
    axes.invert_yaxis()
    axes.set(xlabel="seconds per iteration")
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.35))
    _save(figure, path)


def roofline(bars: Mapping[str, tuple[float, Mapping[str, float]]], caption: str, path: Path) -> None:
    """Stacked bars of (share of the attainable rate, shares of the time by name), the ideal part first.

    Args:
        bars: for each setting; the shares of the time sum to 1, and the first of them is drawn in the accent colour.
        caption: the measured rates, below the axis.
        path: where to write.
    """
    figure, axes = _figure(7.2, 1.5 + 0.5 * len(bars))
    names = list(dict.fromkeys(name for _, parts in bars.values() for name in parts))
    colours = [ACCENT, MUTED, *(f"C{number}" for number in (0, 2, 4, 5, 8, 9))]
    left = dict.fromkeys(bars, 0.0)
    for name, colour in zip(names, colours, strict=False):
        widths = [100 * parts.get(name, 0.0) for _, parts in bars.values()]
        axes.barh(list(bars), widths, left=list(left.values()), label=name, color=colour)
        left = {bar: left[bar] + width for bar, width in zip(left, widths, strict=True)}
    for position, (share, _) in enumerate(bars.values()):
        axes.text(101, position, f"{100 * share:.0f} %", va="center", fontsize=9, color=ACCENT)
    axes.invert_yaxis()
    axes.set(xlabel=f"% of the time; right: share of the attainable rate\n{caption}", xlim=(0, 110))
    figure.legend(frameon=False, fontsize=8, ncols=3, loc="outside upper center")
    _save(figure, path)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    outputs.write_bytes(path, kinds.signed_png(buffer.getvalue()), kinds.PNG)


def _running_mean(values: Sequence[float], width: int) -> list[float]:
    """Mean of the last ``width`` values up to each position."""
    total, means = 0.0, []
    for position, value in enumerate(values):
        total += value - (values[position - width] if position >= width else 0.0)
        means.append(total / min(position + 1, width))
    return means
