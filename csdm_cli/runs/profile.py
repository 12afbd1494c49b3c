"""The costs of distillation's iterations and of students' steps under one configuration, beside the device's roof."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import record_function

from csdm_cli.artifacts.run_record import machine
from csdm_cli.data.store import LongTail
from csdm_cli.display.console import note
from csdm_cli.distillation.decoded import Decoded
from csdm_cli.errors import UsageError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods.contract import MatchingMethod, OptimisedMethod
from csdm_cli.methods.learning import LearningMethod
from csdm_cli.names import Engine, Parallel, Precision
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.networks.network import Network
from csdm_cli.profiling.costs import Cost, measure
from csdm_cli.profiling.learning_costs import measure_learning
from csdm_cli.profiling.roofline import Roof, RooflinePoint, measure_roof
from csdm_cli.profiling.student_costs import measure_students
from csdm_cli.profiling.trace import chrome_trace
from csdm_cli.profiling.work import Work, matching_work, training_work
from csdm_cli.runs.assemble import Assembly, assemble
from csdm_cli.runs.assemble_learning import LearningAssembly, assemble_learning
from csdm_cli.runs.choose import Chosen, SettledMatching, SettledOptimised
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.student_protocol import protocol_of, students_like, with_common_rate
from csdm_cli.runs.task import prepare
from csdm_cli.seeds import derive_seed
from csdm_cli.settings import sections
from csdm_cli.storage import places
from csdm_cli.training.batches import Examples
from csdm_cli.training.inference import images_at_once
from csdm_cli.training.many import stands_together, train_together
from csdm_cli.training.recipe import Recipe

Parts = Assembly | LearningAssembly
# Iterations in a trace.
TRACED = 3
# Of network and pixels.
DTYPE = torch.float32


@dataclass(frozen=True)
class MeasuredCosts:
    """All that is measured.

    Attributes:
        roof: the device's, in float32.
        distill_roof: the device's, in the precision that distill's networks compute in.
        distill: per IPC, an iteration's cost and its point under the roof; none where the bare network's work says
            nothing of it, as of a method that learns through training.
        evaluate: cost and point of a step of the students that are trained at once.
    """

    roof: Roof
    distill_roof: Roof
    distill: dict[int, tuple[Cost, RooflinePoint | None]]
    evaluate: tuple[Cost, RooflinePoint]

    def points(self) -> dict[str, RooflinePoint]:
        """All points under the roof, by name."""
        distill = {f"distill, IPC {ipc}": point for ipc, (_, point) in self.distill.items() if point is not None}
        return distill | {"evaluate": self.evaluate[1]}

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "roof": asdict(self.roof) | {"precision": precision_name()},
            "distill_roof": asdict(self.distill_roof),
            "ipc": {str(ipc): figures_of(*pair) for ipc, pair in self.distill.items()},
            "evaluate": figures_of(*self.evaluate),
        }


@dataclass(frozen=True)
class StudentTraining:
    """Students, and the images of the largest IPC, at their start, that they learn from."""

    networks: list[Network]
    examples: Examples
    recipe: Recipe
    seeds: list[int]

    @classmethod
    def on(cls, ipc: int, task: ProfileTask) -> StudentTraining:
        """As many of the students of ``task`` as are trained at once, on the images of ``ipc`` at their start."""
        parts, protocol, data = task.parts_of(ipc), protocol_of(with_common_rate(task.evaluate)), task.train
        spec = task.students_spec
        images, device = Decoded.of(parts.leaves, parts.parameterisation).images.detach(), task.device
        labels = torch.arange(data.classes, device=device).repeat_interleave(parts.parameterisation.per_class)
        seeds = [derive_seed(protocol.seed, "student", number) for number in range(protocol.students)]
        networks = [build(spec, seed).to(device) for seed in seeds]
        at_once = len(seeds) if stands_together(Parallel.auto, networks[0], device) else 1
        examples = Examples(images, labels, data.mean, data.std)
        return cls(networks[:at_once], examples, protocol.recipe, seeds[:at_once])

    def work(self, spec: NetworkSpec, images: int) -> Work:
        """The bare networks' work for a step of ``images`` images, in pieces where a step takes them so."""
        blank = _blank(spec, self.examples.images.device)
        whole = self.networks[0].couples_samples or blank.device.type != "cpu"
        return training_work(spec, images, images // len(self.networks) if whole else images_at_once(blank), DTYPE)


@dataclass(frozen=True)
class ProfileTask:
    """A measurement before it is done, with nothing left open.

    Attributes:
        parts_of: distillation's objects at a number of images per class.
        train: the long-tailed set, on the device.
        spec: the architecture of teachers.
    """

    settings: sections.ProfileRun
    evaluate: sections.Evaluate
    parts_of: Callable[[int], Parts]
    train: ImageSet
    spec: NetworkSpec
    device: torch.device
    runtime: Runtime

    @property
    def students_spec(self) -> NetworkSpec:
        """The architecture of students."""
        return students_like(self.spec, self.evaluate.network)

    def described(self) -> dict[str, Any]:
        """The machine and the numerics, as JSON values."""
        return {"machine": asdict(machine(self.device)), "numerics": self.runtime.numerics(self.device).as_dict()}


def refuse_unmeasured(chosen: Chosen) -> None:
    """Raises: UsageError unless the chosen method has iterations, those of the batched engine."""
    settings = chosen.settings
    if not isinstance(chosen.method, OptimisedMethod):
        raise UsageError(f"profile measures iterations, which {settings.method} has none of: choose another --method")
    if isinstance(settings, SettledMatching) and settings.engine is Engine.textbook:
        raise UsageError("profile measures the batched engine: leave --engine textbook out")


def prepare_profile(
    settings: sections.ProfileRun,
    chosen: Chosen,
    longtail: LongTail,
    teachers: Path | None,
    device: torch.device,
    runtime: Runtime,
) -> ProfileTask:
    """Find or train the teachers that the method looks through, and settle what an iteration is.

    Raises:
        CsdmError: if the teachers cannot be read, or do not fit the long-tailed set.
    """
    own, train = prepare(chosen, longtail, teachers, device, runtime), longtail.train().to(device)
    often = {"iterations": max(settings.warmup + settings.iterations, TRACED)}

    def parts_of(ipc: int) -> Parts:
        wanted = own.settings.model_copy(update={"ipc": ipc} | often)
        if isinstance(own.method, LearningMethod):
            assert isinstance(wanted, SettledOptimised)
            return assemble_learning(wanted, own.method, train, own.spec, own.pool, numerics=own.numerics)
        assert isinstance(own.method, MatchingMethod) and isinstance(wanted, SettledMatching) and own.pool is not None
        tuning = runtime.numerics(device)
        return assemble(wanted, own.method, train, own.pool, places.cache_dir(), quiet=runtime.quiet, numerics=tuning)

    return ProfileTask(settings, chosen.params.evaluate, parts_of, train, own.spec, device, runtime)


def profile(task: ProfileTask) -> MeasuredCosts:
    """Measure the device, an iteration at every IPC, and a step of the students."""
    settings, runtime, spec, device = task.settings, task.runtime, task.spec, task.device
    note("the rates this device can reach", quiet=runtime.quiet)
    roof = measure_roof(device, DTYPE)
    half = runtime.numerics(device).precision is Precision.bf16
    distill_roof, distill_type = (measure_roof(device, torch.bfloat16), torch.bfloat16) if half else (roof, DTYPE)
    often = {"iterations": settings.iterations, "warmup": settings.warmup}
    distill: dict[int, tuple[Cost, RooflinePoint | None]] = {}
    for ipc in settings.ipcs:
        note(f"IPC {ipc}: {settings.warmup} + 2 x {settings.iterations} iterations", quiet=runtime.quiet)
        parts = task.parts_of(ipc)
        if isinstance(parts, LearningAssembly):
            cost = measure_learning(parts.iterate, parts.leaves, parts.parameterisation, parts.method, **often)
            distill[ipc] = (cost, None)
            continue
        cost = measure(parts.iterate, parts.leaves, parts.matching, parts.real, **often)
        together = images_at_once(_blank(spec, device), parts.matching.networks.final(0))
        work = matching_work(spec, cost.images, together, distill_type)
        distill[ipc] = (cost, _point(distill_roof, work, cost))
    note(f"students: 2 x ({settings.warmup} + {settings.iterations}) steps", quiet=runtime.quiet)
    students = StudentTraining.on(max(settings.ipcs), task)
    cost = measure_students(students.networks, students.examples, students.recipe, students.seeds, **often)
    work = students.work(task.students_spec, cost.images)
    return MeasuredCosts(roof, distill_roof, distill, (cost, _point(roof, work, cost)))


def record_timeline(trace: Path, task: ProfileTask) -> None:
    """A timeline of a few iterations and steps, after one that warms up.

    Raises:
        CsdmError: if ``trace`` cannot be written.
    """
    ipc = task.settings.ipcs[0]
    parts = task.parts_of(ipc)
    students = StudentTraining.on(ipc, task)
    parts.iterate(0)
    with chrome_trace(trace, task.device):
        for step in range(TRACED):
            with record_function(f"distill, IPC {ipc}, iteration {step + 1}"):
                parts.iterate(step)
        with record_function(f"evaluate, {TRACED} steps of {len(students.networks)} students"):
            train_together(students.networks, students.examples, students.recipe, TRACED, students.seeds)


def figures_of(cost: Cost, point: RooflinePoint | None) -> dict[str, Any]:
    """A cost and its point under the roof, if any, as JSON values; seconds, bytes and images per second."""
    low, high = cost.spread
    figures: dict[str, Any] = {
        "seconds_per_iteration": cost.median,
        "seconds_low": low,
        "seconds_high": high,
        "images_per_second": cost.images / cost.median,
        "phases": cost.phases,
    }
    figures |= {} if point is None else {"roofline": point.as_dict()}
    return figures | ({"peak_memory_bytes": float(cost.peak_bytes)} if cost.peak_bytes is not None else {})


def precision_name() -> str:
    """The name of the precision that the roof is measured in."""
    return str(DTYPE).removeprefix("torch.")


def _point(roof: Roof, work: Work, cost: Cost) -> RooflinePoint:
    return RooflinePoint(work, roof.attainable(work), cost.median, cost.phases)


def _blank(spec: NetworkSpec, device: torch.device) -> Tensor:
    return torch.empty(0, spec.channels, spec.size, spec.size, device=device)
