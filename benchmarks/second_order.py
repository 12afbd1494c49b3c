"""Memory and time of the gradients that dc and mtt are made of: `python benchmarks/second_order.py`.

Each row is a process of its own, so that its peak is its own: resident memory above that after the imports. Ours goes
piece by piece (dc) and walks back over stored states (mtt, tesla); `graph` is the released codes' arithmetic, one graph
of all of it. Images are random: neither depends on what they show. With --out FILE the rows are written as JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from child import row_of_a_process

ROWS = [("dc", "ours"), ("dc", "graph"), ("mtt", "ours"), ("mtt", "tesla"), ("mtt", "graph")]
CLASSES, REAL_BATCH = 10, 256


def main() -> None:
    """Measure every row asked for, or the one of a child process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--ipc", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--steps", type=int, default=10, help="a student's steps, of mtt")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", nargs="+", default=[f"{m}:{way}" for m, way in ROWS])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.child:
        print(json.dumps(measured(words)))
        return
    rows = []
    print(f"{'method':8}{'way':8}{'ipc':>5}{'peak MB':>10}{'seconds':>10}")
    for row in words.rows:
        for ipc in words.ipc:
            found = in_a_process(words, row, ipc)
            rows.append(found)
            print(f"{found['method']:8}{found['way']:8}{ipc:5d}{found['peak_mb']:10.0f}{found['seconds']:10.2f}")
    if words.out:
        words.out.write_text(json.dumps({"width": words.width, "steps": words.steps, "rows": rows}, indent=1) + "\n")


def in_a_process(words: argparse.Namespace, row: str, ipc: int) -> dict[str, Any]:
    """One row at one number of images per class."""
    own = ["--rows", row, "--ipc", str(ipc)]
    shared = [f"--{name}={getattr(words, name)}" for name in ("width", "steps", "rounds")]
    return row_of_a_process(__file__, [*own, *shared], f"{row} at {ipc} images per class")


def measured(words: argparse.Namespace) -> dict[str, Any]:
    """The peak and the median time of one iteration."""
    import torch

    from csdm_cli.networks import build
    from csdm_cli.networks.spec import NetworkSpec

    method, way = words.rows[0].split(":")
    (ipc,) = words.ipc
    torch.manual_seed(0)
    network = build(NetworkSpec("convnet", width=words.width), seed=0)
    images = torch.rand(CLASSES * ipc, 3, 32, 32)
    iterate = {"dc": dc, "mtt": mtt}[method](network, images, ipc, way, words.steps)
    before, seconds = peak(), []
    iterate()  # what torch does once only is no part of the time
    for _ in range(words.rounds):
        start = time.perf_counter()
        iterate()
        seconds.append(time.perf_counter() - start)
    return {
        "method": method,
        "way": way,
        "ipc": ipc,
        "peak_mb": (peak() - before) / 1e6,
        "seconds": statistics.median(seconds),
    }


def dc(network: Any, images: Any, ipc: int, way: str, _: int) -> Callable[[], None]:
    """The distances of the classes' gradients and their derivative in the images, class by class."""
    import torch
    from torch.func import functional_call

    from csdm_cli.methods.gradient.distances import row_cosine
    from csdm_cli.methods.gradient.matched import match_gradients
    from csdm_cli.training.inference import images_at_once
    from csdm_cli.training.second_order import Objective, gradient, hard

    weights = {name: value.detach() for name, value in network.named_parameters()}
    real = torch.rand(REAL_BATCH, 3, 32, 32)
    objective = Objective(network, hard, images_at_once(images))

    def ours() -> None:
        for label, own in enumerate(images.split(ipc)):
            goal = gradient(objective, weights, real, torch.full((REAL_BATCH,), label))
            match_gradients(row_cosine, goal, objective, weights, own, torch.full((ipc,), label))

    def released() -> None:
        leaves = {name: value.requires_grad_(True) for name, value in weights.items()}

        def loss(x: Any, label: int) -> Any:
            return hard(functional_call(network, leaves, (x,)), torch.full((len(x),), label)).mean()

        moving = images.clone().requires_grad_(True)
        total = torch.zeros(())
        for label, own in enumerate(moving.split(ipc)):
            goal = torch.autograd.grad(loss(real, label), list(leaves.values()))
            g = torch.autograd.grad(loss(own, label), list(leaves.values()), create_graph=True)
            total = total + row_cosine(dict(zip(leaves, goal, strict=True)), dict(zip(leaves, g, strict=True)))
        total.backward()  # type: ignore[no-untyped-call]

    return ours if way == "ours" else released


def mtt(network: Any, images: Any, ipc: int, way: str, steps: int) -> Callable[[], None]:
    """The gradient of one trajectory in images, label logits and step size, minibatches of at most 100 images."""
    import torch

    from csdm_cli.methods.trajectory.distance import ExpertSegment
    from csdm_cli.training.inference import images_at_once
    from csdm_cli.training.second_order import Objective, of_label_logits, soft
    from csdm_cli.training.unrolled import Trajectory, Unroll, trajectory_gradient

    weights = {name: value.detach() for name, value in network.named_parameters()}
    segment = ExpertSegment(weights, {name: value + 0.01 * torch.randn_like(value) for name, value in weights.items()})
    leaves = [images.requires_grad_(True), torch.randn(len(images), CLASSES, requires_grad=True)]
    size = min(100, len(images))
    order = torch.cat([torch.randperm(len(images)) for _ in range(1 + steps * size // len(images))])
    members = order.split(size)
    path = Trajectory(
        weights,
        torch.tensor(0.01),
        steps,
        lambda step: (leaves[0][members[step]], leaves[1][members[step]]),
        segment.loss,
    )
    mode = {"ours": Unroll.adjoint, "tesla": Unroll.tesla, "graph": Unroll.unrolled}[way]
    at_once = size if way == "graph" else images_at_once(images)
    objective = Objective(network, of_label_logits(soft), at_once)
    return lambda: (trajectory_gradient(objective, path, leaves, mode), None)[1]


def peak() -> int:
    """Bytes that were ever resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
