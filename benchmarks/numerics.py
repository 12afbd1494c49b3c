"""The time that each choice of precision, order of memory and compilation takes here: `python benchmarks/numerics.py`.

A distillation iteration, a view of the real-side bank, and a step of a student and of a teacher under every choice,
against float32, channels first and without compilation: below 1 is faster. Times are medians of interleaved rounds in
one process. What is faster on a kind of device belongs into the table AUTOMATIC of csdm_cli/networks/numerics.py,
and nothing else does.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from engine import interleaved, stepping
from rich.console import Console
from rich.table import Table
from students import STEPS
from workload import random_pool, random_set, set_up

from csdm_cli.artifacts.run_record import machine
from csdm_cli.distillation.real_side import ViewedNetwork, class_statistics, draw_frequencies
from csdm_cli.images.augment import parse_strategy
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.multi_formation import decode
from csdm_cli.names import Precision, TeacherSchedule
from csdm_cli.networks import build
from csdm_cli.networks.numerics import PLAIN, Numerics, TunedNetwork, features_by
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.runs.method_options import make_method
from csdm_cli.runs.student_protocol import protocol_of
from csdm_cli.runs.teachers import teacher_plan
from csdm_cli.settings.sections import Distill, Evaluate, Pretrain
from csdm_cli.teachers.networks import PoolNetworks, tuned_for_any_number
from csdm_cli.teachers.views import PooledViews, ViewPlan
from csdm_cli.training.batches import Examples
from csdm_cli.training.loop import train
from csdm_cli.training.recipe import Recipe

CHOICES = [
    Numerics(precision, last, compiled)
    for compiled, last, precision in itertools.product((False, True), (False, True), Precision)
]


def told(numerics: Numerics) -> str:
    """In a few words."""
    order = "channels last" if numerics.channels_last else "channels first"
    return f"{numerics.precision}, {order}, {'compiled' if numerics.compiled else 'eager'}"


def training_run(numerics: Numerics, examples: Examples, width: int, recipe: Recipe) -> Callable[[], object]:
    """Some steps of a student or teacher on the examples; it goes on from call to call."""
    device = examples.images.device
    own = build(NetworkSpec("convnet", width), seed=0).to(device).to(memory_format=numerics.memory_format)
    network = TunedNetwork(own, features_by(numerics))
    return lambda: train(network, examples, recipe, STEPS[device.type], seed=0)


def view_run(numerics: Numerics, data: ImageSet, width: int, cache: Path) -> Callable[[], object]:
    """The statistics of all real images under one view, with csdm's frequencies, as the bank has them computed."""
    device, settings = data.images.device, Distill()
    pool = random_pool(width, device, cache)
    networks = tuned_for_any_number(PoolNetworks(pool, device, torch.float32, numerics.memory_format), numerics)
    strategy = parse_strategy(settings.augment)
    plan = ViewPlan(len(pool), data.classes, strategy, settings.augment_mode, TeacherSchedule.final, 1, seed=0)
    view, request = PooledViews(plan, draws=1).at(0), make_method(settings).request()
    network = networks.at(view.teacher, view.stage)
    frequencies = draw_frequencies(request.spectrum, network, view, 1.0, device, torch.float32)
    viewed = ViewedNetwork(network, view, networks.channels, frequencies)
    images = [data.of_class(label) for label in range(data.classes)]
    return lambda: class_statistics(viewed, data, images, request, torch.float32)


def measured(
    choices: list[Numerics], ipc: int, width: int, rounds: int, device: torch.device
) -> dict[str, dict[str, float]]:
    """Median seconds of an iteration and of a student's step, by choice."""
    data = random_set(500, device)
    with tempfile.TemporaryDirectory() as folder:
        settings = Distill(ipc=ipc, iterations=rounds + 1)
        runs = {told(own): set_up(settings, data, width, Path(folder), own) for own in choices}
        shape, start = runs[told(PLAIN)].formation, runs[told(PLAIN)].leaves.images.detach()
        labels = torch.arange(shape.classes, device=device).repeat_interleave(shape.per_class)
        examples = Examples(decode(start, shape.factor, shape.size), labels, shape.mean, shape.std)
        distill = interleaved({name: stepping(run) for name, run in runs.items()}, rounds, device)
        views = {told(own): view_run(own, data, width, Path(folder)) for own in choices}
        bank = interleaved(views, rounds, device)
    found = {"distill iteration": distill, f"view of {len(data.images):,} images": bank}
    real = Examples(data.images, data.labels, data.mean, data.std)
    student, teacher = protocol_of(Evaluate()).recipe, teacher_plan(Pretrain()).recipe
    for what, images, recipe in (("student step", examples, student), ("teacher step", real, teacher)):
        steps = {told(own): training_run(own, images, width, recipe) for own in choices}
        times = interleaved(steps, rounds, device)
        found[what] = {name: seconds / STEPS[device.type] for name, seconds in times.items()}
    return found


def table(found: dict[str, dict[str, float]], title: str) -> Table:
    """Ratios to the plain choice, and its milliseconds."""
    shown = Table(title=title)
    shown.add_column("choice")
    for column in found:
        shown.add_column(f"{column} / plain", justify="right")
    for name in next(iter(found.values())):
        ratios = (times[name] / times[told(PLAIN)] for times in found.values())
        shown.add_row(name, *(f"{ratio:.2f}" for ratio in ratios))
    shown.add_row("plain, ms", *(f"{1e3 * times[told(PLAIN)]:.1f}" for times in found.values()), style="dim")
    return shown


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ipc", type=int, default=10)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fast", action="store_true", help="float32 as it is against bf16 compiled, and no other")
    parser.add_argument("--eager", action="store_true", help="without compilation, which takes minutes on a CPU")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    device = torch.device(options.device)
    choices = [PLAIN, Numerics(Precision.bf16, compiled=True)] if options.fast else CHOICES
    choices = [own for own in choices if not (options.eager and own.compiled)]
    found = measured(choices, options.ipc, options.width, options.rounds, device)
    where = asdict(machine(device)) | {"torch": torch.__version__, "width": options.width, "ipc": options.ipc}
    place = f"{where['gpu'] or where['processor']}, {where['threads']} threads"
    Console(width=110).print(table(found, f"ConvNet-3 width {options.width}, IPC {options.ipc}; {place}"))
    if options.out:
        options.out.write_text(json.dumps({"machine": where, "seconds": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
