"""Memory and time of a step of sfm and of lgm on a frozen backbone: `python benchmarks/backbones.py`.

Each row is a process of its own, so that its peak is its own: resident memory above that after the imports. `lgm:graph`
is lgm as its paper runs it, one graph of all augmented copies; `lgm` goes through the network twice, a few images at a
time. Both see 10 copies of every synthetic image and as many real ones; sfm one copy and no real image, whose centres
were computed before. Images and weights are random: neither changes the cost. With --out FILE the rows are written.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from child import row_of_a_process

ROWS = ["sfm", "lgm", "lgm:graph"]
CLASSES, REAL = 10, 40  # real images per class


def main() -> None:
    """Measure every row asked for, or the one of a child process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="convnet", help="convnet, torchvision:resnet18, patch-kmeans ...")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--centres", type=int, default=200, help="of patch-kmeans")
    parser.add_argument("--ipc", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", nargs="+", default=ROWS)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.child:
        print(json.dumps(measured(words)))
        return
    print(f"{words.network} at {words.size} px\n{'':12}{'ipc':>5}{'peak MB':>10}{'wall s':>10}{'CPU s':>10}")
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for ipc in words.ipc:
            for row in words.rows:
                in_a_process(words, row, ipc, cache, rounds=0)  # makes the backbone and the bank
                found = in_a_process(words, row, ipc, cache, words.rounds)
                rows.append(found)
                print(f"{row:12}{ipc:5d}{found['peak_mb']:10.0f}{found['seconds']:10.3f}{found['cpu_seconds']:10.3f}")
    if words.out:
        words.out.write_text(json.dumps({"network": words.network, "size": words.size, "rows": rows}, indent=1) + "\n")


def in_a_process(words: argparse.Namespace, row: str, ipc: int, cache: str, rounds: int) -> dict[str, Any]:
    """One row at one number of images per class."""
    own = ["--cache", cache, "--rows", row, "--ipc", str(ipc), "--rounds", str(rounds)]
    shared = [f"--{name}={getattr(words, name)}" for name in ("network", "size", "centres")]
    return row_of_a_process(__file__, [*own, *shared], f"{row} at {ipc} images per class")


def measured(words: argparse.Namespace) -> dict[str, Any]:
    """The peak and the median time of one step."""
    import torch
    import torchvision  # noqa: F401

    import csdm_cli.runs.assemble
    import csdm_cli.runs.assemble_learning
    import csdm_cli.runs.backbones  # noqa: F401
    from csdm_cli.runs.choose import decided
    from csdm_cli.settings.sections import Distill

    for method in ("sfm", "lgm"):
        decided(Distill(method=method))  # imports it
    torch.rand(2, 3, 8, 8).requires_grad_(True).sum().backward()  # what torch allocates once
    (row,), (ipc,) = words.rows, words.ipc
    before = peak()
    step, wall, cpu = prepared(words, row, ipc, words.cache), [0.0], [0.0]
    for number in range(words.rounds and words.rounds + 1):
        start, used = time.perf_counter(), time.process_time()
        step(number)
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    times = {"seconds": statistics.median(wall[2:] or wall), "cpu_seconds": statistics.median(cpu[2:] or cpu)}
    return {"row": row, "ipc": ipc, "peak_mb": (peak() - before) / 1e6} | times  # the first step works out things once


def prepared(words: argparse.Namespace, row: str, ipc: int, cache: Path) -> Callable[[int], Any]:
    """A step of the row's method, as a function of its number."""
    import torch

    from csdm_cli.methods.learning import LearningMethod
    from csdm_cli.runs.assemble import assemble
    from csdm_cli.runs.assemble_learning import assemble_learning
    from csdm_cli.runs.choose import decided
    from csdm_cli.settings.sections import Distill

    data, pool = random_world(words, cache)
    method_name = row.partition(":")[0]
    own = {"draws": 1} if method_name == "sfm" else {"real_batch": 10 * ipc}
    settled, method = decided(Distill(method=method_name, ipc=ipc, factor=1, iterations=1000, **own))
    if not isinstance(method, LearningMethod):
        return assemble(settled, method, data, pool, cache, quiet=True).iterate  # type: ignore[arg-type]
    if row == "lgm":
        return assemble_learning(settled, method, data, pool.spec, pool).iterate  # type: ignore[arg-type]
    network = pool.network(0)
    return lambda step: in_one_graph(network, torch.rand(CLASSES * ipc, 3, words.size, words.size), ipc, step)


def in_one_graph(network: Any, images: Any, ipc: int, step: int) -> None:
    """A step of lgm with a graph of all copies' features."""
    import torch
    from torch.nn.functional import cosine_similarity

    from csdm_cli.images.augment import augment, draw, parse_strategy
    from csdm_cli.methods.gradient.lgm import classifier_gradient

    rng, copies = torch.Generator().manual_seed(step), 10
    strategy = parse_strategy("color_crop_cutout_flip_scale_rotate")
    labels = torch.arange(CLASSES).repeat_interleave(ipc).repeat(copies)
    weights = 0.01 * torch.randn(CLASSES, network.feature_dim, generator=rng)

    def features(seen: Any) -> Any:
        return network.features(augment(seen, draw(rng, len(seen), strategy, "single")))

    with torch.no_grad():
        real = torch.cat([features(torch.rand(10, *images.shape[1:])) for _ in range(copies * CLASSES * ipc // 10)])
        goal = classifier_gradient(real, labels, weights)
    moving = images.requires_grad_(True)
    own = classifier_gradient(features(moving.repeat(copies, 1, 1, 1)), labels, weights)
    (1 - cosine_similarity(goal.flatten(), own.flatten(), dim=0)).backward()


def random_world(words: argparse.Namespace, cache: Path) -> tuple[Any, Any]:
    """Random real images, and a pool of the backbone with random weights."""
    import torch

    from csdm_cli.images.image_set import ImageSet
    from csdm_cli.networks import Frozen, NetworkSpec, build
    from csdm_cli.runs.backbones import frozen_of, probe_plan
    from csdm_cli.settings.sections import Pretrain
    from csdm_cli.teachers.backbones import frozen_pool

    rng = torch.Generator().manual_seed(0)
    shape = (CLASSES * REAL, 3, words.size, words.size)
    images = torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)
    names = tuple(str(label) for label in range(CLASSES))
    data = ImageSet(images, (REAL,) * CLASSES, names, (0.5,) * 3, (0.25,) * 3)
    settings = Pretrain(network=words.network, centres=words.centres, epochs=1)
    if words.network == "patch-kmeans":
        spec = NetworkSpec(words.network, size=words.size, frozen=frozen_of(settings, data))
        return data, frozen_pool(data, spec, probe_plan(settings), cache, "cpu", dict, quiet=True)
    plain = NetworkSpec(words.network, size=words.size)
    frozen = Frozen("random", words.size, data.mean, data.std, "input of the classifier", "0")
    spec = NetworkSpec(words.network, size=words.size, frozen=frozen)
    weights = build(plain, 0).state_dict()
    return data, frozen_pool(data, spec, probe_plan(settings), cache, "cpu", lambda: weights, quiet=True)


def peak() -> int:
    """The most bytes that this process has had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
