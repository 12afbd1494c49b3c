"""``csdm profile``: what an iteration of distill and a step of a student cost, by phase, and how near the roof."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import RenderableType
from torch import Tensor
from torch.profiler import record_function

from csdm_cli.artifacts.run_record import machine
from csdm_cli.data.holdout import sealed
from csdm_cli.display import pictures
from csdm_cli.display.console import emit, note
from csdm_cli.display.tables import figures_table
from csdm_cli.errors import UsageError
from csdm_cli.images.multi_formation import decode
from csdm_cli.methods.contract import OptimisedMethod
from csdm_cli.names import Engine, Parallel, Precision
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.networks.network import Network
from csdm_cli.profiling.costs import Cost, measure
from csdm_cli.profiling.roofline import Roof, RooflinePoint, measure_roof
from csdm_cli.profiling.student_costs import measure_students
from csdm_cli.profiling.trace import TIMELINE, chrome_trace
from csdm_cli.profiling.work import Work, matching_work, training_work
from csdm_cli.runs.assemble import Assembly, assemble
from csdm_cli.runs.choose import SettledOptimised, choose
from csdm_cli.runs.judge import protocol_of
from csdm_cli.runs.long_tail import given_or_newest
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.teachers import find_teachers
from csdm_cli.safe_text import counted
from csdm_cli.seeds import derive_seed
from csdm_cli.settings import sections
from csdm_cli.storage import kinds, outputs, places
from csdm_cli.tracking.tracker import Tracker, open_tracker
from csdm_cli.training.batches import Examples
from csdm_cli.training.inference import images_at_once
from csdm_cli.training.many import stands_together, train_together
from csdm_cli.training.recipe import Recipe

# Iterations in a trace.
TRACED = 3
# Of network and pixels.
DTYPE = torch.float32
OUTPUTS = {
    "phases.png": kinds.PNG,
    "roofline.png": kinds.PNG,
    "timing.json": kinds.json_with("machine", "roof", "ipc", "evaluate"),
}


@dataclass(frozen=True)
class Profile:
    """All that is measured.

    Attributes:
        roof: of the device, in float32.
        distill_roof: in the precision that distill's networks compute in.
        distill: per IPC, an iteration's cost and its standing under the roof.
        evaluate: of a step of the students that are trained at once.
    """

    roof: Roof
    distill_roof: Roof
    distill: dict[int, tuple[Cost, RooflinePoint]]
    evaluate: tuple[Cost, RooflinePoint]

    def standings(self) -> dict[str, RooflinePoint]:
        """By the name of what stands there."""
        return {f"distill, IPC {ipc}": standing for ipc, (_, standing) in self.distill.items()} | {
            "evaluate": self.evaluate[1]
        }


@dataclass(frozen=True)
class Lesson:
    """Students and what they learn from: the images of the largest IPC, at their start."""

    networks: list[Network]
    examples: Examples
    recipe: Recipe
    seeds: list[int]

    @classmethod
    def of(cls, parts: Assembly, spec: NetworkSpec, settings: sections.Evaluate) -> Lesson:
        """As many of the students of ``settings`` as are trained at once."""
        shape, device, protocol = parts.formation, parts.pixels.images.device, protocol_of(settings)
        images = decode(parts.pixels.images.detach(), shape.factor, shape.size)
        labels = torch.arange(shape.classes, device=device).repeat_interleave(shape.per_class)
        seeds = [derive_seed(protocol.seed, "student", number) for number in range(protocol.students)]
        networks = [build(spec, seed).to(device) for seed in seeds]
        at_once = len(seeds) if stands_together(Parallel.auto, networks[0], device) else 1
        examples = Examples(images, labels, shape.mean, shape.std)
        return cls(networks[:at_once], examples, protocol.recipe, seeds[:at_once])

    def work(self, spec: NetworkSpec, images: int) -> Work:
        """Of the bare networks for a step of ``images`` images, in pieces where a step takes them so."""
        blank = _blank(spec, self.examples.images.device)
        whole = self.networks[0].couples_samples or blank.device.type != "cpu"
        return training_work(spec, images, images // len(self.networks) if whole else images_at_once(blank), DTYPE)


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
    method, distilling, params = chosen.method, chosen.settings, chosen.params
    optimised = isinstance(method, OptimisedMethod) and isinstance(distilling, SettledOptimised)
    if not optimised or distilling.engine is Engine.textbook:
        raise UsageError("profile measures the batched engine: give distill an optimised method and engine batched")
    assert isinstance(method, OptimisedMethod) and isinstance(distilling, SettledOptimised)
    device = runtime.apply()
    if out:
        outputs.claim_files(out, OUTPUTS)
    if trace:
        outputs.claim_file(trace, TIMELINE, "--trace")
    longtail = given_or_newest(data, quiet=runtime.quiet)
    described = {name: getattr(params, name).model_dump(mode="json") for name in ("profile", "distill", "evaluate")}
    described["profile"] = settings.model_dump(mode="json")
    with (
        sealed("profiling"),
        open_tracker(runtime.tracking, "profile", params=described, quiet=runtime.quiet) as tracker,
    ):
        train = longtail.train().to(device)
        pool = find_teachers(teachers, params, longtail, train, device, runtime)

        def parts_of(ipc: int) -> Assembly:
            wanted = distilling.model_copy(update={"ipc": ipc, "iterations": settings.warmup + settings.iterations})
            tuning = runtime.numerics(device)
            return assemble(wanted, method, train, pool, places.cache_dir(), quiet=runtime.quiet, numerics=tuning)

        profile = _measure(settings, params.evaluate, pool.spec, parts_of, device, runtime)
        if trace:
            _record(trace, settings.ipcs[0], parts_of, params.evaluate, pool.spec, device)
        tuning = runtime.numerics(device).as_dict()
        result = {"machine": asdict(machine(device)), "numerics": tuning, **_described(profile)}
        _track(profile, tracker)
        if out:
            _write(profile, result, out, tracker)
    emit(result, lambda: _tables(profile, f"{params.distill.method} on {pool.spec.name}"), as_json=runtime.json)
    for place in filter(None, (out, trace)):
        note(f"wrote {place}", quiet=runtime.quiet)


def _measure(
    settings: sections.ProfileRun,
    evaluate: sections.Evaluate,
    spec: NetworkSpec,
    parts_of: Callable[[int], Assembly],
    device: torch.device,
    runtime: Runtime,
) -> Profile:
    note("the rates this device can reach", quiet=runtime.quiet)
    roof = measure_roof(device, DTYPE)
    half = runtime.numerics(device).precision is Precision.bf16
    distill_roof, distill_type = (measure_roof(device, torch.bfloat16), torch.bfloat16) if half else (roof, DTYPE)
    often = {"iterations": settings.iterations, "warmup": settings.warmup}
    distill: dict[int, tuple[Cost, RooflinePoint]] = {}
    for ipc in settings.ipcs:
        note(f"IPC {ipc}: {settings.warmup} + 2 x {settings.iterations} iterations", quiet=runtime.quiet)
        parts = parts_of(ipc)
        cost = measure(parts.iterate, parts.pixels, parts.matching, parts.real, **often)
        work = matching_work(spec, cost.images, images_at_once(_blank(spec, device)), distill_type)
        distill[ipc] = (cost, _standing(distill_roof, work, cost))
    note(f"students: 2 x ({settings.warmup} + {settings.iterations}) steps", quiet=runtime.quiet)
    lesson = Lesson.of(parts_of(max(settings.ipcs)), spec, evaluate)
    cost = measure_students(lesson.networks, lesson.examples, lesson.recipe, lesson.seeds, **often)
    return Profile(roof, distill_roof, distill, (cost, _standing(roof, lesson.work(spec, cost.images), cost)))


def _standing(roof: Roof, work: Work, cost: Cost) -> RooflinePoint:
    return RooflinePoint(work, roof.attainable(work), cost.median, cost.phases)


def _blank(spec: NetworkSpec, device: torch.device) -> Tensor:
    return torch.empty(0, spec.channels, spec.size, spec.size, device=device)


def _record(
    trace: Path,
    ipc: int,
    parts_of: Callable[[int], Assembly],
    evaluate: sections.Evaluate,
    spec: NetworkSpec,
    device: torch.device,
) -> None:
    """A timeline of a few iterations and steps, after one that warms up."""
    parts = parts_of(ipc)
    lesson = Lesson.of(parts, spec, evaluate)
    parts.iterate(0)
    with chrome_trace(trace, device):
        for step in range(TRACED):
            with record_function(f"distill, IPC {ipc}, iteration {step + 1}"):
                parts.iterate(step)
        with record_function(f"evaluate, {TRACED} steps of {len(lesson.networks)} students"):
            train_together(lesson.networks, lesson.examples, lesson.recipe, TRACED, lesson.seeds)


def _described(profile: Profile) -> dict[str, Any]:
    """JSON values."""
    cost, standing = profile.evaluate
    return {
        "roof": asdict(profile.roof) | {"precision": _precision()},
        "distill_roof": asdict(profile.distill_roof),
        "ipc": {str(ipc): _figures(*pair) for ipc, pair in profile.distill.items()},
        "evaluate": _figures(cost, standing),
    }


def _figures(cost: Cost, standing: RooflinePoint) -> dict[str, Any]:
    low, high = cost.spread
    figures: dict[str, Any] = {
        "seconds_per_iteration": cost.median,
        "seconds_low": low,
        "seconds_high": high,
        "images_per_second": cost.images / cost.median,
        "phases": cost.phases,
        "roofline": standing.as_dict(),
    }
    return figures | ({"peak_memory_bytes": float(cost.peak_bytes)} if cost.peak_bytes is not None else {})


def _track(profile: Profile, tracker: Tracker) -> None:
    for ipc, (cost, standing) in profile.distill.items():
        numbers = {name: value for name, value in _figures(cost, standing).items() if isinstance(value, float)}
        tracker.metrics(numbers | cost.phases | {"roofline_share": standing.share}, ipc)


def _write(profile: Profile, result: dict[str, Any], out: Path, tracker: Tracker) -> None:
    stacked = {f"IPC {ipc}": cost.phases for ipc, (cost, _) in profile.distill.items()}
    pictures.phases({bar: _positive(phases) for bar, phases in stacked.items()}, out / "phases.png")
    bars = {name: (standing.share, _positive(standing.parts())) for name, standing in profile.standings().items()}
    pictures.roofline(bars, _rates(profile.roof), out / "roofline.png")
    outputs.write_json(out / "timing.json", result, OUTPUTS["timing.json"])
    for name in ("phases.png", "roofline.png", "timing.json"):
        tracker.artifact(out / name)


def _positive(parts: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in parts.items() if value > 0}


def _rates(roof: Roof) -> str:
    peak, bandwidth = roof.flops_per_second / 1e9, roof.bytes_per_second / 1e9
    return f"Measured peak {peak:,.0f} GFLOP/s ({_precision()}) and {bandwidth:,.0f} GB/s"


def _precision() -> str:
    return str(DTYPE).removeprefix("torch.")


def _tables(profile: Profile, title: str) -> list[RenderableType]:
    costs = [cost for cost, _ in profile.distill.values()]
    table = figures_table("", [f"IPC {ipc}" for ipc in profile.distill])
    table.add_row("ms per iteration", *(f"{1e3 * cost.median:.1f}" for cost in costs), style="bold")
    table.add_row("  first to last decile", *("{:.1f}–{:.1f}".format(*_milliseconds(cost)) for cost in costs))
    table.add_row("images per second", *(f"{cost.images / cost.median:,.0f}" for cost in costs))
    table.add_row("peak memory", *(_gibibytes(cost.peak_bytes) for cost in costs))
    for phase in costs[0].phases:
        shares = (cost.phases[phase] / sum(cost.phases.values()) for cost in costs)
        table.add_row(f"share of {phase}", *(f"{share:.0%}" for share in shares))
    caption = "[dim]Time is the median. Phases are measured apart, in iterations of their own.[/]"
    return [f"[bold]One iteration of {title}[/]", table, caption, *_roofline_table(profile)]


def _roofline_table(profile: Profile) -> list[RenderableType]:
    standings = profile.standings()
    table = figures_table("", list(standings))
    rows: dict[str, Callable[[RooflinePoint], str]] = {
        "GFLOP of the bare network": lambda own: f"{own.work.flops / 1e9:,.1f}",
        "GB it moves, nothing fused": lambda own: f"{own.work.bytes / 1e9:,.2f}",
        "attainable GFLOP/s": lambda own: f"{own.attainable / 1e9:,.0f}",
        "share reached": lambda own: f"{own.share:.0%}",
        "  by its network alone": lambda own: f"{own.network_share:.0%}",
    }
    for name, cell in rows.items():
        style = "bold" if name == "share reached" else None
        table.add_row(name, *(cell(standing) for standing in standings.values()), style=style)
    images, seconds = profile.evaluate[0].images, profile.evaluate[0].median
    notes = [f"evaluate: a step of {counted(images, 'image')} in {1e3 * seconds:.1f} ms.", f"{_rates(profile.roof)}."]
    if profile.distill_roof is not profile.roof:
        notes.append(f"In bfloat16, for distill: {profile.distill_roof.flops_per_second / 1e9:,.0f} GFLOP/s.")
    return ["\n[bold]Under the roof of this device[/]", table, *(f"[dim]{line}[/]" for line in notes)]


def _milliseconds(cost: Cost) -> tuple[float, float]:
    low, high = cost.spread
    return 1e3 * low, 1e3 * high


def _gibibytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**30:.2f} GiB"
