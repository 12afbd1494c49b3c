"""The engine's costs, as ratios measured side by side: `python benchmarks/engine.py`.

Times are medians of interleaved rounds in one process, at the shipped defaults. Prints the table of costs and the
table of frequency rules; with --out FILE every measurement is written as JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from frequencies import frequency_rows, frequency_table
from rich.console import Console
from rich.table import Table
from students import student_rows
from workload import VIEWS, random_pool, random_set, set_up

from csdm_cli.artifacts.run_record import machine
from csdm_cli.device import peak_memory, resident_bytes
from csdm_cli.distillation.bank import build_bank
from csdm_cli.distillation.real_side import view_features
from csdm_cli.images.augment import parse_strategy
from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods.contract import MatchingMethod
from csdm_cli.names import Engine, Precision, TeacherSchedule
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.runs.assemble import Assembly
from csdm_cli.runs.method_options import make_method
from csdm_cli.settings.sections import Distill
from csdm_cli.teachers.networks import PoolNetworks
from csdm_cli.teachers.views import PooledViews, ViewPlan
from csdm_cli.training.inference import images_at_once

Row = dict[str, Any]
Runs = dict[str, Callable[[], object]]

ONE_BATCH, IN_PIECES = "floor, one batch", "floor, in pieces"
DRAWS = 2  # views of the measured bank, all of one teacher


@dataclass(frozen=True)
class Bench:
    """The sets and teachers that the rows are measured on.

    Attributes:
        small, large: real sets; the large one has ten times the images.
        width: width of the networks.
        rounds: interleaved measurements of each run.
        cache: where teachers and banks are kept.
    """

    small: ImageSet
    large: ImageSet
    width: int
    rounds: int
    cache: Path

    @property
    def device(self) -> torch.device:
        """Where everything is computed."""
        return self.small.images.device

    def assembly(self, data: ImageSet, **settings: Any) -> Assembly:
        """A run over ``data`` that is long enough for all rounds, and has seen its views before, as most steps have."""
        chosen = Distill.model_validate({"ipc": 10, "iterations": self.rounds + 1} | settings)
        assembly = set_up(chosen, data, self.width, self.cache)
        if chosen.engine is Engine.batched:
            for step in range(chosen.iterations):
                assembly.real.at(step)
        return assembly

    def times(self, runs: Runs, rounds: int | None = None) -> dict[str, float]:
        """:func:`interleaved` here."""
        return interleaved(runs, rounds or self.rounds, self.device)


def interleaved(runs: Runs, rounds: int, device: torch.device) -> dict[str, float]:
    """Median seconds of each, one after another in every round, after one round of warm-up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(rounds + 1):
        for name, run in runs.items():
            if device.type == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if round_number:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def floor(assembly: Assembly, at_once: int | None) -> Callable[[], None]:
    """Forward and input-gradient backward of one iteration's images: all in one batch, or in pieces."""
    shape = assembly.formation
    images = torch.rand(shape.decoded, len(shape.mean), shape.size, shape.size, device=assembly.leaves.images.device)
    network = assembly.networks.final(0)

    def run() -> None:
        for piece in images.split(at_once or len(images)):
            leaf = piece.detach().requires_grad_(True)
            network.features(leaf).sum().backward()

    return run


def stepping(assembly: Assembly, first: int = 0) -> Callable[[], object]:
    """The next iteration at every call, from ``first`` on."""
    steps = iter(range(first, 10**9))
    return lambda: assembly.iterate(next(steps))


def iteration_rows(bench: Bench) -> list[Row]:
    """The iteration against the bare network, for two numbers of frequencies, in the second round of all views.

    Frequencies that memory does not hold are drawn again, as in a long run.
    """
    rows: list[Row] = []
    for frequencies, goal in ((1024, "≤ 1.15"), (4096, "≤ 1.35")):
        assembly = bench.assembly(bench.small, frequencies=frequencies, iterations=VIEWS)
        floors = {ONE_BATCH: floor(assembly, None), IN_PIECES: floor(assembly, images_at_once(bench.small.images))}
        times = bench.times({"iteration": stepping(assembly, first=VIEWS), **floors})
        for against in floors:
            ratio = times["iteration"] / times[against]
            what = f"iteration / {against}, K={frequencies:,}"
            rows.append({"what": what, "ratio": ratio, "goal": goal, "seconds": times})
    return rows


def two_networks_row(bench: Bench) -> Row:
    """Matching under other weights than calibration: two forwards, two backwards."""
    assembly = bench.assembly(bench.small, teacher_schedule=TeacherSchedule.interpolate)
    floors = {IN_PIECES: floor(assembly, images_at_once(bench.small.images))}
    times = bench.times({"iteration": stepping(assembly), **floors})
    what = f"iteration with two networks / two times {IN_PIECES}, K=1,024"
    return {"what": what, "ratio": times["iteration"] / (2 * times[IN_PIECES]), "seconds": times}


def textbook_row(bench: Bench) -> Row:
    """The field's loop against the engine."""
    own, book = bench.assembly(bench.large), bench.assembly(bench.large, engine=Engine.textbook)
    times = bench.times({"textbook": stepping(book), "engine": stepping(own)})
    goal = "≥ 10" if bench.device.type == "cuda" else "≥ 6"
    ratio = times["textbook"] / times["engine"]
    return {"what": "textbook loop / engine", "ratio": ratio, "goal": goal, "seconds": times}


def absolute_rows(bench: Bench) -> list[Row]:
    """Milliseconds of an iteration."""
    goals = {10: "≤ 5", 50: "≤ 20"} if bench.device.type == "cuda" else {}
    runs = {ipc: stepping(bench.assembly(bench.small, ipc=ipc)) for ipc in (10, 50)}
    times = bench.times({f"IPC {ipc}": run for ipc, run in runs.items()})
    return [
        {"what": f"iteration, IPC {ipc}, ms", "ratio": 1e3 * times[f"IPC {ipc}"], "goal": goals.get(ipc, "")}
        for ipc in runs
    ]


def recorded_rows(bench: Bench) -> list[Row]:
    """Milliseconds of an iteration of a long run, whose steps a GPU has recorded; nothing on a CPU."""
    if bench.device.type != "cuda":
        return []
    runs = {}
    for numerics in (PLAIN, Numerics(Precision.bf16, compiled=True)):
        for ipc in (10, 50):
            chosen = Distill(ipc=ipc, iterations=10_000)
            assembly = set_up(chosen, bench.small, bench.width, bench.cache, numerics)
            for step in range(2 * VIEWS):
                assembly.iterate(step)
            arithmetic = "bf16, compiled" if numerics.compiled else "float32"
            runs[f"IPC {ipc}, {arithmetic}"] = stepping(assembly, first=2 * VIEWS)
    times = bench.times(runs)
    return [{"what": f"iteration of a long run, {name}, ms", "ratio": 1e3 * times[name]} for name in runs]


def real_size_row(bench: Bench) -> Row:
    """The same iteration over a small and a large real set."""
    times = bench.times({name: stepping(bench.assembly(getattr(bench, name))) for name in ("small", "large")})
    ratio = times["large"] / times["small"]
    return {"what": "iteration, 10 x the real images / same", "ratio": ratio, "goal": "≤ 1.05", "seconds": times}


def bank_row(bench: Bench) -> Row:
    """Building a teacher's views against as many plain augmented forward passes over the same images."""
    data, settings = bench.large, Distill()
    method, pool = make_method(settings), random_pool(bench.width, bench.device, bench.cache)
    assert isinstance(method, MatchingMethod)
    operations = parse_strategy(settings.augment)
    plan = ViewPlan(1, data.classes, operations, settings.augment_mode, TeacherSchedule.final, 1, seed=0)
    views, networks = PooledViews(plan, DRAWS), PoolNetworks(pool, bench.device, torch.float32)
    folders = (bench.cache / f"measured-{number}" for number in range(10**9))

    def build() -> None:
        build_bank(next(folders), data, views, DRAWS, method.request(), networks, torch.float32, quiet=True)

    def plain() -> None:
        for view in views.views:
            for label in range(data.classes):
                for piece in data.of_class(label).split(images_at_once(data.images)):
                    view_features(networks.final(0), piece.float() / 255, data, view.theta, label)

    times = bench.times({"bank": build, "plain passes": plain}, rounds=1)
    what = f"bank / passes over the real set, {DRAWS} views of a teacher"
    return {"what": what, "ratio": times["bank"] / times["plain passes"], "goal": "≤ 1.10", "seconds": times}


def memory_rows(bench: Bench) -> list[Row]:
    """Peak memory above what the imports take, each in a process of its own."""
    rows: list[Row] = []
    for ipc, goal in ((10, "≤ 1.5"), (50, "≤ 2.0")):
        chosen = {"--memory-of": ipc, "--width": bench.width, "--device": bench.device.type}
        words = [str(word) for pair in chosen.items() for word in pair]
        done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=True)
        rows.append({"what": f"peak memory, IPC {ipc}, GB", "ratio": float(done.stdout) / 1e9, "goal": goal})
    return rows


def print_memory(ipc: int, width: int, device: torch.device) -> None:
    """Bytes of three iterations at their peak, all views seen before, above what the imports took."""
    torch.rand(64, 64, device=device) @ torch.rand(64, 64, device=device)
    before = (resident_bytes() or 0) if device.type == "cpu" else 0
    data = random_set(50, device)
    with tempfile.TemporaryDirectory() as cache, peak_memory(device) as peak:
        assembly = set_up(Distill(ipc=ipc, iterations=VIEWS), data, width, Path(cache))
        for step in range(VIEWS):
            assembly.real.at(step)
        for step in range(3):
            assembly.iterate(step)
    print((peak.bytes or 0) - before)


def help_row() -> Row:
    """How long help takes to appear."""
    command = [sys.executable, "-m", "csdm_cli", "--help"]
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        seconds.append(time.perf_counter() - start)
    return {"what": "csdm --help, seconds (best of 5)", "ratio": min(seconds)}


def evaluation_rows(bench: Bench) -> list[Row]:
    """Several students at once, against one after another."""
    goal = "≥ 3" if bench.device.type == "cuda" else "≥ 1"
    rows = student_rows(bench.width, bench.rounds, bench.device, interleaved)
    return [rows[0] | {"goal": goal}, *rows[1:]]


def cost_rows(bench: Bench) -> list[Row]:
    """The whole table, in the order in which it is printed."""
    return [
        *iteration_rows(bench),
        two_networks_row(bench),
        *absolute_rows(bench),
        *recorded_rows(bench),
        textbook_row(bench),
        real_size_row(bench),
        bank_row(bench),
        *evaluation_rows(bench),
        *memory_rows(bench),
        help_row(),
    ]


def cost_table(rows: list[Row], title: str) -> Table:
    """The measured costs beside their goals."""
    table = Table(title=title)
    for name, side in (("what", "left"), ("value", "right"), ("goal", "right")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for row in rows:
        value = f"{row['ratio']:,.0f}" if row["ratio"] >= 100 else f"{row['ratio']:.3g}"
        table.add_row(row["what"], value, row.get("goal", ""))
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--head", type=int, default=5000, help="images of the large set's largest class")
    parser.add_argument("--frequency-runs", type=int, default=8, help="sets of frequencies per rule")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--recorded", action="store_true", help="only iterations of long runs, on a GPU")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    device = torch.device(options.device)
    if options.recorded and device.type != "cuda":
        parser.error("--recorded: a CPU records nothing; leave it out, or use --device cuda")
    if options.memory_of:
        print_memory(options.memory_of, options.width, device)
        return
    with tempfile.TemporaryDirectory() as folder:
        sets = (random_set(options.head // 10, device), random_set(options.head, device))
        bench = Bench(*sets, options.width, options.rounds, Path(folder))
        rows = recorded_rows(bench) if options.recorded else cost_rows(bench)
    rules = [] if options.recorded else frequency_rows(options.width, (1024, 4096), options.frequency_runs, device)
    where = asdict(machine(device)) | {"torch": torch.__version__, "width": options.width}
    place = f"{where['gpu'] or where['processor']}, {where['threads']} threads"
    console = Console(width=110)
    console.print(cost_table(rows, f"ConvNet-3 width {options.width}, CIFAR-10-LT sizes, IPC 10; {place}"))
    if rules:
        console.print(frequency_table(rules))
    if options.out:
        found = {"machine": where, "rows": rows, "frequency_rules": [asdict(rule) for rule in rules]}
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
