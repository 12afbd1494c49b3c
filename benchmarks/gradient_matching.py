"""dc, dsa, idc, cafe against the released loops' arithmetic, side by side: `python benchmarks/gradient_matching.py`.

`textbook` is that loop (`textbook.py`): class after class the whole real batch at once, one graph of all classes and
one backward; the network's steps on whole batches; torch's own pooling. Both see the same images through the same
networks, and their derivatives in the images are compared. `textbook` computes in float32 always; ours does so in the
precisions asked for, each a row; cafe takes no other. An iteration is one step of the images and its share of what the
network does meanwhile, of which two steps, or cafe's epochs, are timed. dream is idc but for a k-means that both take.
Times are medians of interleaved rounds in one process, in seconds of the processor; all keep freed memory as runs do.
Memory is the peak of a process of its own above what was resident before the data. With --out FILE the rows are
written as JSON, after those that it has of other combinations.
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
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from textbook import CafeLoop, GradientLoop, Loop
from torch import Tensor
from torch.nn.functional import cross_entropy
from workload import random_set

from csdm_cli.artifacts.run_record import machine
from csdm_cli.device import keep_freed_memory
from csdm_cli.methods import load
from csdm_cli.methods.contract import Context
from csdm_cli.methods.gradient.base import GradientMatching, rounds_of
from csdm_cli.methods.gradient.cafe import Cafe
from csdm_cli.methods.learning import Scene
from csdm_cli.names import Precision
from csdm_cli.networks.numerics import Numerics
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.runs.method_options import make_method
from csdm_cli.settings.sections import Distill

Row = dict[str, Any]
HEAD = 5000  # real images of the largest class, as in CIFAR-10-LT
LESSONS = 2  # timed ones: steps of a network between two of the images, of cafe epochs
ROUNDS = {"inner": LESSONS, "outer": 10**6}
OPTIONS: dict[str, dict[str, Any]] = {
    "dc": {"row_distance": "released"} | ROUNDS,
    "dsa": {"row_distance": "released"} | ROUNDS,
    "idc": ROUNDS,
    "cafe": {"most_epochs": LESSONS},
}
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

    method: GradientMatching | Cafe
    scene: Scene

    @classmethod
    def of(cls, case: Case, precision: Precision, width: int | None = None) -> Ours:
        """With the released distance, and few of the network's steps."""
        method = make_method(Distill(method=case.method, ipc=case.ipc, factor=1, option=OPTIONS[case.method]))
        assert isinstance(method, GradientMatching | Cafe)
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


def main() -> None:
    """Measure every combination asked for, or the one of a child process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=list(OPTIONS), default=list(OPTIONS))
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
        precisions = words.precisions if load(case.method).takes_precision else [Precision.fp32]
        found = measured(case, precisions, words.rounds, words.memory_of)
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
    textbook = textbook_of(Ours.of(case, Precision.fp32))
    narrow = Ours.of(case, Precision.fp32, width=4)  # what torch does once only is no part of the times
    narrow.match(0), textbook_of(narrow).match(0)
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
    """How often the timed lessons of the network are taken per step of the images, by the method's own defaults."""
    if isinstance(ours.method, Cafe):
        return ours.method.parameters.window / LESSONS  # its fewest epochs
    given = ours.method.parameters
    default = {own.name: own.default for own in fields(given) if own.name in ("outer", "inner")}
    outer, inner = rounds_of(replace(given, **default), ipc)
    return (outer - 1) / outer * inner / LESSONS


def textbook_of(ours: Ours) -> Loop[Any]:
    """The released loop beside ours, on the same images."""
    if isinstance(ours.method, Cafe):
        return CafeLoop(ours.method, ours.scene)
    return GradientLoop(ours.method, ours.scene)


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
    run = ours if who == "ours" else textbook_of(ours)
    for step in range(2):
        run.match(step)
        run.teach(step)
    return {f"{who}_bytes": peak() - before}


def peak() -> int:
    """Bytes that were ever resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
