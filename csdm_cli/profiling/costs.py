"""The costs of an iteration: time, split by phase, and memory."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from csdm_cli.device import peak_memory
from csdm_cli.distillation.leaves import Leaves
from csdm_cli.distillation.real_side import RealSide
from csdm_cli.distillation.step import Matching

FORWARD, BACKWARD = "network forward", "network backward"
NETWORK_PHASES = (FORWARD, BACKWARD)
PHASES = ("real side", "augmentation", FORWARD, "spectral", BACKWARD, "optimiser")


@dataclass(frozen=True)
class Cost:
    """The cost of one iteration.

    Attributes:
        seconds: every timed iteration.
        phases: median seconds per phase of an iteration run with its phases kept apart.
        images: decoded images that one iteration passes through the network.
        peak_bytes: highest memory during the timed iterations; None where the system cannot tell.
    """

    seconds: tuple[float, ...]
    phases: dict[str, float]
    images: int
    peak_bytes: int | None

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        """First and last decile of the timed iterations."""
        ordered = sorted(self.seconds)
        tenth = len(ordered) // 10
        return ordered[tenth], ordered[-1 - tenth]


class Clock:
    """Adds up the time spent in named phases; waits for the device at their borders."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds: dict[str, float] = defaultdict(float)

    def now(self) -> float:
        """Seconds, once the device has done all it was given."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the block's time to ``name``."""
        start = self.now()
        yield
        self.seconds[name] += self.now() - start


def measure(
    iterate: Callable[[int], object],
    leaves: Leaves,
    matching: Matching,
    real: RealSide,
    *,
    iterations: int,
    warmup: int,
) -> Cost:
    """Time ``iterations`` whole iterations of a matching method, then as many with their phases apart.

    Before that a GPU meets all of them twice, which records them (see :mod:`csdm_cli.distillation.replay`), as in a
    long run.
    """

    def whole(step: int) -> None:
        iterate(step)
        matching.method.after_step(step)

    def apart(step: int, clock: Clock) -> None:
        phased_iteration(leaves, matching, real, step, clock)
        matching.method.after_step(step)

    device, images = leaves.images.device, matching.formation.decoded
    if device.type == "cuda":
        for step in [*range(iterations), *range(iterations)]:
            whole(step)
    return measure_both(whole, apart, PHASES, images, device, iterations=iterations, warmup=warmup)


def measure_both(
    whole: Callable[[int], object],
    apart: Callable[[int, Clock], object],
    phases: Sequence[str],
    images: int,
    device: torch.device,
    *,
    iterations: int,
    warmup: int,
) -> Cost:
    """Time ``iterations`` times ``whole``, then as often ``apart``, which adds its ``phases`` to the clock it is given.

    Args:
        whole, apart: the iteration of a step.
        images: decoded images of one iteration.
        iterations: timed ones of each.
        warmup: iterations before them.
    """
    clock = Clock(device)
    for step in range(warmup):
        whole(step)
    seconds = []
    with peak_memory(device) as peak:
        for step in range(iterations):
            start = clock.now()
            whole(step)
            seconds.append(clock.now() - start)
    runs: dict[str, list[float]] = defaultdict(list)
    for step in range(iterations):
        own = Clock(device)
        apart(step, own)
        for name in phases:
            runs[name].append(own.seconds[name])
    medians = {name: statistics.median(runs[name]) for name in phases}
    return Cost(tuple(seconds), medians, images, peak.bytes)


def phased_iteration(leaves: Leaves, matching: Matching, real: RealSide, step: int, clock: Clock) -> None:
    """The batched iteration with the graph cut between its phases; the gradient is the same.

    Chunks are of whole classes here: a class over the memory budget is not cut further.
    """
    shape, layout = matching.formation, matching.layout
    with clock.phase("real side"):
        target = real.at(step)
    for first in range(0, shape.classes, layout.classes):
        last = min(first + layout.classes, shape.classes)
        with clock.phase("augmentation"):
            seen = matching.see(leaves.images[first * shape.ipc : last * shape.ipc], target.view.theta, first)
        with clock.phase(FORWARD):
            leaf = _cut(seen)
            outputs = matching.outputs(target, leaf)
        with clock.phase("spectral"):
            cut = {output: _cut(value) for output, value in outputs.items()}
            terms = matching.terms(cut, target, step, first, last)
            torch.stack(list(terms.values())).sum().backward()
        with clock.phase(BACKWARD):
            reached = {output: own.grad for output, own in cut.items() if own.grad is not None}
            torch.autograd.backward([outputs[output] for output in reached], list(reached.values()))
        with clock.phase("augmentation"):
            seen.backward(leaf.grad)
    with clock.phase("optimiser"):
        leaves.step(step)
    if matching.method.needs_moved_images:
        with clock.phase("network forward"):
            matching.after_move(leaves.images, target, step)


def _cut(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_(True)
