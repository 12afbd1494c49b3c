"""Time of a step of mtt, datm and lad, by the way its gradient is found: `python benchmarks/trajectory.py`.

All ways stand side by side in one process and take turns, on the same draws: `textbook` is the released code's
arithmetic, one graph of all the student's steps through torch's own layers, `unrolled` the same graph through ours.
A step of ftd is one of mtt. lad's two students take the same number of steps.
All keep freed memory as runs do. Seconds are of the processor, which other programs do not change much,
and the least of all rounds; memory is what `second_order.py` measures, in processes of their own. Experts lie on a line
between two random networks, and images are random: neither time depends on what they hold. With --out FILE the rows are
written as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import product
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from csdm_cli.device import keep_freed_memory
from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods.contract import Context
from csdm_cli.methods.learning import LABEL_LOGITS, LOG_STEP, Scene
from csdm_cli.methods.trajectory.base import TrajectoryMethod
from csdm_cli.networks import build
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.runs.method_options import make_method
from csdm_cli.settings.sections import Distill
from csdm_cli.teachers.pool import TeacherPool
from csdm_cli.training.unrolled import Unroll

CLASSES, TEXTBOOK = 10, "textbook"
METHODS = ("mtt", "datm", "lad")


class LineOfExperts:
    """An expert on the line between two random networks, in place of a trained one, and of a classifier's."""

    epochs, every = 2, 196

    def __init__(self, spec: NetworkSpec) -> None:
        self.spec, self.classifiers = spec, self
        self._ends = [build(spec, seed).state_dict() for seed in (0, 1)]

    def __len__(self) -> int:
        return 1

    def weights(self, expert: int, stage: tuple[str, int]) -> dict[str, Tensor]:
        """The weights at a point."""
        first, last = self._ends
        return {name: torch.lerp(value, last[name], 0.05 * stage[1]) for name, value in first.items()}


def main() -> None:
    """Measure every way of every method at every number of images per class."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--ipc", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--steps", type=int, default=5, help="of the student")
    parser.add_argument("--batch", type=int, default=100, help="synthetic images per step of the student")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    rows = []
    keep_freed_memory()
    print(f"{'method':8}{'way':10}{'ipc':>5}{'seconds':>10}{'of textbook':>13}")
    for method, ipc in product(words.methods, words.ipc):
        seconds = measured(words, method, ipc)
        for way, value in seconds.items():
            share = value / seconds[TEXTBOOK]
            rows.append({"method": method, "way": way, "ipc": ipc, "seconds": value, "of_textbook": share})
            print(f"{method:8}{way:10}{ipc:5d}{value:10.3f}{share:13.2f}")
    if words.out:
        told: dict[str, Any] = {name: getattr(words, name) for name in ("width", "steps", "batch")}
        words.out.write_text(json.dumps(told | {"torch": torch.__version__, "rows": rows}, indent=1) + "\n")


def measured(words: argparse.Namespace, name: str, ipc: int) -> dict[str, float]:
    """The least processor seconds of a step, by way."""
    methods = {str(way): prepared(way, words, name, ipc) for way in Unroll}
    methods[TEXTBOOK] = prepared(Unroll.unrolled, words, name, ipc)
    methods[TEXTBOOK].network = build(spec_of(words), seed=0).requires_grad_(False)
    images = torch.rand(CLASSES * ipc, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    logits = torch.zeros(len(images), CLASSES)
    found = dict.fromkeys(methods, float("inf"))
    for turn in range(words.rounds + 1):
        for way, method in methods.items():
            learned = {LABEL_LOGITS: logits.clone().requires_grad_(True), LOG_STEP: torch.tensor(0.02).log()}
            scene = Scene(images.clone().requires_grad_(True), ipc, learned)
            start = time.process_time()
            method.step(scene, turn)
            if turn:  # what torch does once only is no part of the time
                found[way] = min(found[way], time.process_time() - start)
    return found


def spec_of(words: argparse.Namespace) -> NetworkSpec:
    """The students' architecture."""
    return NetworkSpec("convnet", words.width, 3, "instance", "avg", 3, 32, CLASSES)


def prepared(way: Unroll, words: argparse.Namespace, name: str, ipc: int) -> TrajectoryMethod:
    """A method that is ready for its first step."""
    own: dict[str, Any] = {"student_steps": words.steps, "student_batch": words.batch, "latest": 1, "unroll": way}
    if name == "lad":
        own |= {"classifier_steps": words.steps}
    method = make_method(Distill(method=name, ipc=ipc, factor=1, option=own))
    assert isinstance(method, TrajectoryMethod)
    spec = spec_of(words)
    blank = torch.zeros(CLASSES, 3, 32, 32, dtype=torch.uint8)
    data = ImageSet(blank, (1,) * CLASSES, tuple(map(str, range(CLASSES))), (0.5,) * 3, (0.25,) * 3)
    pool = cast(TeacherPool, LineOfExperts(spec))
    method.prepare(Context(data.counts, torch.device("cpu"), torch.float32, ipc, 0, pool, data, spec))
    return method


if __name__ == "__main__":
    main()
