"""The cost of several students at once against as many runs of the plain loop: `python benchmarks/students.py`.

Times are medians of interleaved rounds in one process. Images are random, which does not change the cost.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch

from csdm_cli.names import Parallel
from csdm_cli.networks import build
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.runs.student_protocol import protocol_of
from csdm_cli.settings.sections import Evaluate
from csdm_cli.training.batches import Examples
from csdm_cli.training.loop import train
from csdm_cli.training.many import stands_together, train_together

STUDENTS, CLASSES, IPC, FACTOR = 5, 10, 10, 2
STEPS = {"cpu": 2, "cuda": 50}  # of every student in a round

Measure = Callable[[dict[str, Callable[[], object]], int, torch.device], dict[str, float]]


def student_runs(width: int, device: torch.device) -> dict[str, Callable[[], object]]:
    """Some steps of five students on a decoded set of IPC 10, by the shipped recipe: alone, at once, or by evaluate."""
    spec, recipe = NetworkSpec("convnet", width), protocol_of(Evaluate()).recipe
    rng = torch.Generator().manual_seed(0)
    count = CLASSES * IPC * FACTOR**2
    images = torch.randint(0, 256, (count, spec.channels, spec.size, spec.size), generator=rng, dtype=torch.uint8)
    labels = torch.arange(CLASSES).repeat_interleave(IPC * FACTOR**2)
    examples = Examples(images.to(device), labels.to(device), (0.49, 0.48, 0.45), (0.25, 0.24, 0.26))
    steps, seeds = STEPS[device.type], range(STUDENTS)
    networks = [build(spec, seed).to(device) for seed in seeds]

    def in_turn() -> None:
        for network, seed in zip(networks, seeds, strict=True):
            train(network, examples, recipe, steps, seed)

    def together() -> None:
        train_together(networks, examples, recipe, steps, seeds)

    automatic = stands_together(Parallel.auto, networks[0], device)
    return {"plain loop": in_turn, "at once": together, "evaluate": together if automatic else in_turn}


def student_rows(width: int, rounds: int, device: torch.device, measure: Measure) -> list[dict[str, object]]:
    """How many times faster than the plain loop; ``measure`` gives the interleaved medians of some runs."""
    times = measure(student_runs(width, device), rounds, device)
    steps = STEPS[device.type]
    return [
        {
            "what": f"{STUDENTS} runs of the plain loop / {name}, {STUDENTS} students, IPC {IPC}",
            "ratio": times["plain loop"] / times[name],
            "seconds": {run: seconds / steps for run, seconds in times.items()},
        }
        for name in ("evaluate", "at once")
    ]


def main() -> None:
    """Measure and print."""
    from engine import interleaved  # the benchmark beside this one, which prints these rows too

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    rows = student_rows(options.width, options.rounds, torch.device(options.device), interleaved)
    for row in rows:
        print(f"{row['what']}: {row['ratio']:.3g}")
    print("seconds per step of all students:", rows[0]["seconds"])


if __name__ == "__main__":
    main()
