"""dc and dsa against the released loop's arithmetic, side by side: `python benchmarks/gradient_matching.py`.

`textbook` is that loop: class after class the whole real batch in one gradient, the synthetic gradient with its graph,
one backward of the sum of all classes' distances; the network's steps on whole batches; torch's own pooling. Both see
the same images through the same networks, and their derivatives in the images are compared. An iteration is one step of
the images and its share of the network's steps, of which two are timed. Times are medians of interleaved rounds in one
process, in seconds of the processor; memory is the peak of a process of its own above what was resident before the
data. With --out FILE the rows are written as JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from workload import random_set

from csdm_cli.artifacts.run_record import machine
from csdm_cli.images.augment import augment
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.contract import Context
from csdm_cli.methods.gradient.base import GradientMatching, one_draw_per_class, real_minibatch, rounds_of
from csdm_cli.methods.gradient.dsa import DsaParameters
from csdm_cli.methods.learning import Scene
from csdm_cli.networks import build
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.runs.method_options import make_method
from csdm_cli.seeds import derive_seed
from csdm_cli.settings.sections import Distill
from csdm_cli.training.batches import Batches, Examples
from csdm_cli.training.recipe import Recipe

Row = dict[str, Any]
HEAD = 5000  # real images of the largest class, as in CIFAR-10-LT
NETWORK_STEPS = 2  # timed ones
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Ours:
    """A method of this package on images that stay where they are."""

    method: GradientMatching
    scene: Scene

    @classmethod
    def of(cls, name: str, width: int, ipc: int) -> Ours:
        """With the released distance, and few of the network's steps."""
        own = {"row_distance": "released", "inner": NETWORK_STEPS, "outer": 10**6}
        method, data = make_method(Distill(method=name, ipc=ipc, factor=1, option=own)), random_set(HEAD, CPU)
        assert isinstance(method, GradientMatching)
        spec = NetworkSpec("convnet", width=width)
        method.prepare(Context(data.counts, CPU, torch.float32, ipc, 0, None, data, spec))
        rng = torch.Generator().manual_seed(0)
        images = torch.rand(len(data.counts) * ipc, 3, 32, 32, generator=rng)
        return cls(method, Scene(images.requires_grad_(True), ipc))

    def match(self, step: int) -> Tensor:
        """The images' derivative."""
        self.scene.images.grad = None
        self.method.step(self.scene, step)
        assert self.scene.images.grad is not None
        return self.scene.images.grad

    def teach(self, step: int) -> None:
        """The network's steps."""
        self.method.after_move(self.scene, step)


class Textbook:
    """The released loop on the same."""

    def __init__(self, ours: Ours) -> None:
        self._method, self._scene = ours.method, ours.scene
        self._network = build(ours.method.spec, derive_seed(0, "net", 0))
        self._optimizer = torch.optim.SGD(self._network.parameters(), lr=ours.method.parameters.network_lr)
        given = ours.method.parameters
        self._how = (given.augment, given.augment_mode) if isinstance(given, DsaParameters) else ("none", "single")

    def match(self, step: int) -> Tensor:
        """The images' derivative, in one graph of all classes."""
        data, scene = self._method.data, self._scene
        theta = one_draw_per_class(0, step, data.classes, *self._how)
        weights, total = list(self._network.parameters()), torch.zeros(())
        for label in range(data.classes):
            found = []
            real = real_minibatch(data, label, self._method.parameters.real_batch, 0, step).float() / 255
            for own, graph in ((real, False), (scene.images[scene.rows(label)], True)):
                seen = normalise(own, data.mean, data.std)
                seen = seen if theta is None else augment(seen, theta.rows([label]))
                loss = cross_entropy(self._network(seen), torch.full((len(own),), label))
                gradients = torch.autograd.grad(loss, weights, create_graph=graph)
                found.append({str(number): own for number, own in enumerate(gradients)})
            total = total + self._method.distance(found[0], found[1])
        (derivative,) = torch.autograd.grad(total, scene.images)
        return derivative

    def teach(self, step: int) -> None:
        """The network's steps, each on a whole batch."""
        given, scene, data = self._method.parameters, self._scene, self._method.data
        recipe = Recipe("sgd", given.network_lr, 0.0, 0.0, given.network_batch, *self._how, 0.0, "steps")
        examples = Examples(scene.images.detach(), scene.labels, data.mean, data.std)
        batches = Batches(examples, recipe, derive_seed(0, "network", step), data.classes)
        for turn in range(NETWORK_STEPS):
            images, targets = batches.at(turn)
            self._optimizer.zero_grad()
            cross_entropy(self._network(images), targets).backward()
            self._optimizer.step()


def main() -> None:
    """Measure every combination asked for, or the one of a child process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["dc", "dsa"])
    parser.add_argument("--widths", type=int, nargs="+", default=[128, 32])
    parser.add_argument("--ipcs", type=int, nargs="+", default=[1, 10, 50])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-of", nargs="*", default=["ours", "textbook"], help="whose peak is measured")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", choices=["times", "ours", "textbook"], help=argparse.SUPPRESS)
    words = parser.parse_args()
    torch.set_num_threads(1)
    if words.child:
        (method,), (width,), (ipc,) = words.methods, words.widths, words.ipcs
        found = (
            times(method, width, ipc, words.rounds)
            if words.child == "times"
            else memory(words.child, method, width, ipc)
        )
        print(json.dumps(found))
        return
    rows: list[Row] = []
    for method in words.methods:
        for width in words.widths:
            for ipc in words.ipcs:
                rows.append(measured(method, width, ipc, words.rounds, words.memory_of))
                if words.out:
                    text = json.dumps({"machine": asdict(machine(CPU)), "threads": 1, "rows": rows}, indent=1)
                    words.out.write_text(text + "\n")


def measured(method: str, width: int, ipc: int, rounds: int, memory_of: Sequence[str]) -> Row:
    """Times and peaks of one combination, each in a process of its own."""
    own = ["--methods", method, "--widths", str(width), "--ipcs", str(ipc), "--rounds", str(rounds)]
    row: Row = {"method": method, "width": width, "ipc": ipc}
    for child in ("times", *memory_of):
        command = [sys.executable, __file__, *own, "--child", child]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{row}, {child}: {done.stderr.strip().splitlines()[-1:]} (exit {done.returncode})")
        row |= json.loads(done.stdout)
    peaks = ", ".join(f"{who} {row[f'{who}_bytes'] / 1e9:.2f} GB" for who in memory_of)
    print(
        f"{method:4} width {width:3} IPC {ipc:2}: an iteration {row['ratio']:.2f} times as fast as the textbook's,"
        f" its matching {row['matching_ratio']:.2f} times ({row['seconds']['ours match']:.2f} s); {peaks}",
        flush=True,
    )
    return row


def times(name: str, width: int, ipc: int, rounds: int) -> Row:
    """Medians of every part, and the ratios of textbook to ours."""
    ours = Ours.of(name, width, ipc)
    textbook = Textbook(ours)
    found, expected = ours.match(0), textbook.match(0)
    difference = (found - expected).norm() / expected.norm()
    runs: dict[str, Callable[[int], object]] = {
        "ours match": ours.match,
        "textbook match": textbook.match,
        "ours teach": ours.teach,
        "textbook teach": textbook.teach,
    }
    seconds: dict[str, list[float]] = {part: [] for part in runs}
    for step in range(rounds):
        for part, run in runs.items():
            start = time.process_time()
            run(step)
            seconds[part].append(time.process_time() - start)
    medians = {part: statistics.median(values) for part, values in seconds.items()}
    make = type(ours.method.parameters)
    outer, inner = rounds_of(make(**vars(ours.method.parameters) | {"outer": 0, "inner": 0}), ipc)
    lessons = (outer - 1) / outer * inner / NETWORK_STEPS
    whole = {who: medians[f"{who} match"] + lessons * medians[f"{who} teach"] for who in ("ours", "textbook")}
    return {
        "seconds": medians,
        "iteration": whole,
        "ratio": whole["textbook"] / whole["ours"],
        "matching_ratio": medians["textbook match"] / medians["ours match"],
        "relative_difference": float(difference),
    }


def memory(who: str, name: str, width: int, ipc: int) -> Row:
    """The peak of two iterations."""
    cross_entropy(torch.rand(1, 2, requires_grad=True), torch.zeros(1, dtype=torch.long)).backward()
    before = peak()
    ours = Ours.of(name, width, ipc)
    run = ours if who == "ours" else Textbook(ours)
    for step in range(2):
        run.match(step)
        run.teach(step)
    return {f"{who}_bytes": peak() - before}


def peak() -> int:
    """Bytes that were ever resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
