"""``csdm profile``: the cost of an iteration of distill and of a step of a student, by phase, beside the roof."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from csdm_cli.data.holdout import sealed
from csdm_cli.display import pictures
from csdm_cli.display.console import emit, note
from csdm_cli.display.tables import figures_table
from csdm_cli.profiling.costs import Cost
from csdm_cli.profiling.roofline import Roof, RooflinePoint
from csdm_cli.profiling.trace import TIMELINE
from csdm_cli.runs.choose import choose
from csdm_cli.runs.long_tail import given_or_newest
from csdm_cli.runs.profile import (
    MeasuredCosts,
    figures_of,
    precision_name,
    prepare_profile,
    profile,
    record_timeline,
    refuse_unmeasured,
)
from csdm_cli.runs.runtime import Runtime
from csdm_cli.safe_text import counted
from csdm_cli.settings import sections
from csdm_cli.storage import kinds, outputs
from csdm_cli.tracking.tracker import Tracker, open_tracker

OUTPUTS = {
    "phases.png": kinds.PNG,
    "roofline.png": kinds.PNG,
    "timing.json": kinds.json_with("machine", "roof", "ipc", "evaluate"),
}


def run(
    settings: sections.ProfileRun,
    runtime: Runtime,
    *,
    params: sections.Params,
    data: Path | None,
    teachers: Path | None,
    out: Path | None,
    trace: Path | None = None,
) -> None:
    """Measure every IPC, print tables, and write figures and pictures to ``out`` and a timeline to ``trace``."""
    chosen = choose(params)
    refuse_unmeasured(chosen)
    device = runtime.apply()
    if out:
        outputs.claim_files(out, OUTPUTS)
    if trace:
        outputs.claim_file(trace, TIMELINE, "--trace")
    longtail = given_or_newest(data, quiet=runtime.quiet)
    described = {name: getattr(chosen.params, name).model_dump(mode="json") for name in ("distill", "evaluate")}
    described = {"profile": settings.model_dump(mode="json")} | described
    with (
        sealed("profiling"),
        open_tracker(runtime.tracking, "profile", params=described, quiet=runtime.quiet) as tracker,
    ):
        task = prepare_profile(settings, chosen, longtail, teachers, device, runtime)
        found = profile(task)
        result = task.described() | found.as_dict()
        _track(found, tracker)
        if out:
            _write(found, result, out, tracker)
        if trace:
            record_timeline(trace, task)
    title = f"{chosen.params.distill.method} on {task.spec.name}"
    emit(result, lambda: _tables(found, title), as_json=runtime.json)
    for place in filter(None, (out, trace)):
        note(f"wrote {place}", quiet=runtime.quiet)


def _track(found: MeasuredCosts, tracker: Tracker) -> None:
    for ipc, (cost, point) in found.distill.items():
        numbers = {name: value for name, value in figures_of(cost, point).items() if isinstance(value, float)}
        share = {} if point is None else {"roofline_share": point.share}
        tracker.metrics(numbers | cost.phases | share, ipc)


def _write(found: MeasuredCosts, result: dict[str, Any], out: Path, tracker: Tracker) -> None:
    stacked = {f"IPC {ipc}": cost.phases for ipc, (cost, _) in found.distill.items()}
    pictures.phases({bar: _positive(phases) for bar, phases in stacked.items()}, out / "phases.png")
    bars = {name: (point.share, _positive(point.parts())) for name, point in found.points().items()}
    pictures.roofline(bars, _rates(found.roof), out / "roofline.png")
    outputs.write_json(out / "timing.json", result, OUTPUTS["timing.json"])
    for name in ("phases.png", "roofline.png", "timing.json"):
        tracker.artifact(out / name)


def _positive(parts: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in parts.items() if value > 0}


def _rates(roof: Roof) -> str:
    peak, bandwidth = roof.flops_per_second / 1e9, roof.bytes_per_second / 1e9
    return f"Measured peak {peak:,.0f} GFLOP/s ({precision_name()}) and {bandwidth:,.0f} GB/s"


def _tables(found: MeasuredCosts, title: str) -> list[RenderableType]:
    costs = [cost for cost, _ in found.distill.values()]
    table = figures_table("", [f"IPC {ipc}" for ipc in found.distill])
    table.add_row("ms per iteration", *(f"{1e3 * cost.median:.1f}" for cost in costs), style="bold")
    table.add_row("  first to last decile", *("{:.1f}–{:.1f}".format(*_milliseconds(cost)) for cost in costs))
    table.add_row("images per second", *(f"{cost.images / cost.median:,.0f}" for cost in costs))
    table.add_row("peak memory", *(_gibibytes(cost.peak_bytes) for cost in costs))
    for phase in costs[0].phases:
        shares = (cost.phases[phase] / sum(cost.phases.values()) for cost in costs)
        table.add_row(f"share of {phase}", *(f"{share:.0%}" for share in shares))
    caption = "[dim]Time is the median. Phases are measured apart, in iterations of their own.[/]"
    return [f"[bold]One iteration of {title}[/]", table, caption, *_roofline_table(found)]


def _roofline_table(found: MeasuredCosts) -> list[RenderableType]:
    points = found.points()
    table = figures_table("", list(points))
    rows: dict[str, Callable[[RooflinePoint], str]] = {
        "GFLOP of the bare network": lambda own: f"{own.work.flops / 1e9:,.1f}",
        "GB it moves, nothing fused": lambda own: f"{own.work.bytes / 1e9:,.2f}",
        "attainable GFLOP/s": lambda own: f"{own.attainable / 1e9:,.0f}",
        "share reached": lambda own: f"{own.share:.0%}",
        "  by its network alone": lambda own: f"{own.network_share:.0%}",
    }
    for name, cell in rows.items():
        style = "bold" if name == "share reached" else None
        table.add_row(name, *(cell(point) for point in points.values()), style=style)
    images, seconds = found.evaluate[0].images, found.evaluate[0].median
    notes = [f"evaluate: a step of {counted(images, 'image')} in {1e3 * seconds:.1f} ms.", f"{_rates(found.roof)}."]
    if found.distill_roof is not found.roof:
        notes.append(f"In bfloat16, for distill: {found.distill_roof.flops_per_second / 1e9:,.0f} GFLOP/s.")
    return ["\n[bold]Under the roof of this device[/]", table, *(f"[dim]{line}[/]" for line in notes)]


def _milliseconds(cost: Cost) -> tuple[float, float]:
    low, high = cost.spread
    return 1e3 * low, 1e3 * high


def _gibibytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**30:.2f} GiB"
