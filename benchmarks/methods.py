"""The cost of an iteration of every optimised method beside csdm's: `python benchmarks/methods.py [--out JSON]`.

Both run the same way: from a bank or from fresh minibatches as the method needs, and through the same of the teachers'
weights. Ratios of medians of interleaved rounds in one process, at the defaults, on sets of random images.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from engine import interleaved
from rich.console import Console
from rich.table import Table
from workload import random_set, set_up

from csdm_cli.artifacts.run_record import machine
from csdm_cli.distillation.bank import BankedRealSide
from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods import load, method_names
from csdm_cli.methods.contract import MatchingMethod
from csdm_cli.runs.assemble import Assembly
from csdm_cli.runs.choose import SettledOptimised, decided
from csdm_cli.settings.sections import Distill

EPOCHS = 8  # whose weights teachers keep, for the methods that look through them
GOAL = 1.5


def main() -> None:
    """Measure, print a table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--head", type=int, default=1000, help="images of the largest class")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    data = random_set(chosen.head, device)
    with tempfile.TemporaryDirectory() as cache:
        rows = [
            _row(name, data, chosen.width, chosen.rounds, Path(cache))
            for name in method_names()
            if issubclass(load(name), MatchingMethod) and name != "csdm"
        ]
    _print(rows)
    if chosen.out:
        found = {"machine": asdict(machine(device)), "width": chosen.width, "rounds": chosen.rounds, "rows": rows}
        chosen.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _row(name: str, data: ImageSet, width: int, rounds: int, cache: Path) -> dict[str, Any]:
    own = Distill(method=name, draws=1, iterations=rounds + 1, real_batch=256)
    way, _ = decided(own)
    assert isinstance(way, SettledOptimised)
    same = own.model_copy(update={"method": "csdm", "real": way.real, "teacher_schedule": way.teacher_schedule})
    runs = {"own": _ready(own, data, width, cache), "csdm": _ready(same, data, width, cache)}
    steps = {label: iter(range(rounds + 1)) for label in runs}

    def step(label: str) -> None:
        number = next(steps[label])
        runs[label].iterate(number)
        runs[label].method.after_step(number)

    times = interleaved({label: lambda label=label: step(label) for label in runs}, rounds, data.images.device)
    found = {"method": name, "real": str(way.real), "schedule": str(way.teacher_schedule)}
    return found | {"seconds": times["own"], "csdm_seconds": times["csdm"], "ratio": times["own"] / times["csdm"]}


def _ready(settings: Distill, data: ImageSet, width: int, cache: Path) -> Assembly:
    """A run that has seen its views before, as most steps have."""
    run = set_up(settings, data, width, cache, epochs=EPOCHS)
    if isinstance(run.real, BankedRealSide):
        for step in range(settings.iterations):
            run.real.at(step)
    return run


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table(box=None)
    for name in ("method", "real side", "weights", "ms", "csdm, ms", "ratio", "goal"):
        table.add_column(name, justify="right" if name in {"ms", "csdm, ms", "ratio"} else "left")
    for row in rows:
        own, other = (f"{1e3 * row[key]:.0f}" for key in ("seconds", "csdm_seconds"))
        table.add_row(row["method"], row["real"], row["schedule"], own, other, f"{row['ratio']:.2f}", f"≤ {GOAL}")
    Console().print(table)


if __name__ == "__main__":
    main()
