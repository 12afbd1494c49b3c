"""dc and dsa against the released loop's arithmetic, side by side: `python benchmarks/gradient_matching.py`.

`textbook` is that loop: class after class the whole real batch in one gradient, the synthetic gradient with its graph,
one backward of the sum of all classes' distances; the network's steps on whole batches; torch's own pooling. Both see
the same images through the same networks, and their derivatives in the images are compared. `textbook` computes in
float32 always; ours does so in the precisions asked for, each a row. An iteration is one step of the images and its
share of the network's steps, of which two are timed. Times are medians of interleaved rounds in one process, in seconds
of the processor; all keep freed memory as runs do. Memory is the peak of a process of its own above what was resident
before the data. With --out FILE the rows are written as JSON, after those that it has of other combinations.
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
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from workload import random_set

from csdm_cli.artifacts.run_record import machine
from csdm_cli.device import keep_freed_memory
from csdm_cli.images.augment import augment
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.contract import Context
from csdm_cli.methods.gradient.base import GradientMatching, one_draw_per_class, real_minibatch, rounds_of
from csdm_cli.methods.gradient.dsa import DsaParameters
from csdm_cli.methods.learning import Scene
from csdm_cli.names import Precision
from csdm_cli.networks import build
from csdm_cli.networks.numerics import Numerics
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
class Case:
    """The combination that rows are of."""

    method: str
    width: int
    ipc: int
    classes: int

    @property
    def words(self) -> list[str]:
        """As the program takes it."""
        own = ["--methods", self.method, "--widths", str(self.width), "--ipcs", str(self.ipc)]
        return [*own, "--classes", str(self.classes)]


@dataclass(frozen=True)
class Ours:
    """A method of this package on images that stay where they are."""

    method: GradientMatching
    scene: Scene

    @classmethod
    def of(cls, case: Case, precision: Precision, width: int | None = None) -> Ours:
        """With the released distance, and few of the network's steps."""
        own = {"row_distance": "released", "inner": NETWORK_STEPS, "outer": 10**6}
        method = make_method(Distill(method=case.method, ipc=case.ipc, factor=1, option=own))
        assert isinstance(method, GradientMatching)
        data = random_set(HEAD, CPU, case.classes)
        spec = NetworkSpec("convnet", width=width or case.width, classes=case.classes)
        numerics = Numerics(precision)
        method.prepare(Context(data.counts, CPU, torch.float32, case.ipc, 0, None, data, spec, numerics))
        rng = torch.Generator().manual_seed(0)
        images = torch.rand(case.classes * case.ipc, 3, 32, 32, generator=rng)
        return cls(method, Scene(images.requires_grad_(True), case.ipc))

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
    parser.add_argument("--classes", type=int, default=10, help="fewer are as long a tail, in less time")
    parser.add_argument("--precisions", nargs="+", type=Precision, default=list(Precision))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-of", nargs="*", default=["ours", "textbook"], help="whose peak is measured")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", choices=["times", "ours", "textbook"], help=argparse.SUPPRESS)
    words = parser.parse_args()
    torch.set_num_threads(1)
    cases = [Case(*own, words.classes) for own in product(words.methods, words.widths, words.ipcs)]
    if words.child:
        keep_freed_memory()
        if words.child == "times":
            print(json.dumps(times(cases[0], words.precisions, words.rounds)))
        else:
            print(json.dumps(memory(words.child, cases[0], words.precisions[0])))
        return
    told = words.out and words.out.exists() and json.loads(words.out.read_text())
    rows: list[Row] = told["rows"] if told else []
    for case in cases:
        found = measured(case, words.precisions, words.rounds, words.memory_of)
        rows = [row for row in rows if not any(same(row, new) for new in found)] + found
        if words.out:
            text = json.dumps({"machine": asdict(machine(CPU)), "threads": 1, "rows": rows}, indent=1)
            words.out.write_text(text + "\n")


def same(row: Row, other: Row) -> bool:
    """Whether two rows are of one combination."""
    return all(row[name] == other[name] for name in ("method", "width", "ipc", "precision"))


def measured(case: Case, precisions: Sequence[Precision], rounds: int, memory_of: Sequence[str]) -> list[Row]:
    """Times and peaks of one combination, a row for each precision of ours."""
    of_textbook = child(["textbook", *case.words]) if "textbook" in memory_of else {}
    rows = []
    for found in child(["times", *case.words, "--rounds", str(rounds), "--precisions", *precisions]):
        row: Row = {**asdict(case), **found, **of_textbook}
        if "ours" in memory_of:
            row |= child(["ours", *case.words, "--precisions", row["precision"]])
        gains = f"an iteration {row['ratio']:.2f} times the textbook's speed, its matching {row['matching_ratio']:.2f}"
        print(f"{case.method:4} width {case.width:3} IPC {case.ipc:2} {row['precision']}: {gains}", flush=True)
        rows.append(row)
    return rows


def child(words: Sequence[str]) -> Any:
    """Measurements of a process of its own."""
    command = [sys.executable, __file__, "--child", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: {done.stderr.strip().splitlines()[-1:]} (exit {done.returncode})")
    return json.loads(done.stdout)


def times(case: Case, precisions: Sequence[Precision], rounds: int) -> list[Row]:
    """Medians of every part, and the ratios of textbook to ours in each precision."""
    ours = {precision: Ours.of(case, precision) for precision in precisions}
    textbook = Textbook(Ours.of(case, Precision.fp32))
    narrow = Ours.of(case, Precision.fp32, width=4)  # what torch does once only is no part of the times
    narrow.match(0), Textbook(narrow).match(0)
    seconds: dict[str, list[float]] = {}

    def timed(part: str, run: Callable[[int], Any], step: int) -> Any:
        start = time.process_time()
        found = run(step)
        seconds.setdefault(part, []).append(time.process_time() - start)
        return found

    differences: dict[Precision, float] = {}
    for step in range(rounds):
        expected = timed("textbook match", textbook.match, step)
        for precision, own in ours.items():
            found = timed(f"{precision} match", own.match, step)
            if step == 0:  # at the same weights; later each learns from its own rounding
                differences[precision] = float((found - expected).norm() / expected.norm())
        for precision, own in ours.items():
            timed(f"{precision} teach", own.teach, step)
        timed("textbook teach", textbook.teach, step)
    medians = {part: statistics.median(values) for part, values in seconds.items()}
    lessons = lessons_of(next(iter(ours.values())), case.ipc)
    return [row_of(precision, medians, lessons, differences[precision], rounds) for precision in precisions]


def lessons_of(ours: Ours, ipc: int) -> float:
    """How often the timed steps of the network are taken per step of the images, by the method's own rounds."""
    given = ours.method.parameters
    outer, inner = rounds_of(type(given)(**vars(given) | {"outer": 0, "inner": 0}), ipc)
    return (outer - 1) / outer * inner / NETWORK_STEPS


def row_of(precision: Precision, medians: dict[str, float], lessons: float, difference: float, rounds: int) -> Row:
    """The times of one precision beside the textbook's."""
    parts = {
        f"{who} {part}": medians[f"{name} {part}"]
        for who, name in (("ours", precision), ("textbook", "textbook"))
        for part in ("match", "teach")
    }
    whole = {who: parts[f"{who} match"] + lessons * parts[f"{who} teach"] for who in ("ours", "textbook")}
    return {
        "precision": precision,
        "rounds": rounds,
        "seconds": parts,
        "iteration": whole,
        "ratio": whole["textbook"] / whole["ours"],
        "matching_ratio": parts["textbook match"] / parts["ours match"],
        "relative_difference": difference,
    }


def memory(who: str, case: Case, precision: Precision) -> Row:
    """The peak of two iterations."""
    cross_entropy(torch.rand(1, 2, requires_grad=True), torch.zeros(1, dtype=torch.long)).backward()
    before = peak()
    ours = Ours.of(case, precision)
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
