"""The costs of a step of a student's training, by phase."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from csdm_cli.device import peak_memory
from csdm_cli.networks.network import Network
from csdm_cli.profiling.costs import BACKWARD, FORWARD, Clock, Cost
from csdm_cli.training.batches import Examples
from csdm_cli.training.many import JointMoment, train_together
from csdm_cli.training.recipe import Recipe

AUGMENTATION, OPTIMISER = "augmentation", "optimiser"
TRAINING_PHASES = (AUGMENTATION, FORWARD, BACKWARD, OPTIMISER)


def measure_students(
    networks: Sequence[Network],
    examples: Examples,
    recipe: Recipe,
    seeds: Sequence[int],
    *,
    iterations: int,
    warmup: int,
) -> Cost:
    """Time ``iterations`` steps of these students' training together, then as many with their phases apart.

    Args:
        networks: R students, trained in place.
        examples, recipe, seeds: as in :func:`~csdm_cli.training.many.train_together`.
        iterations: timed steps.
        warmup: steps before them, each time.
    """
    device = examples.images.device
    clock = Clock(device)
    ends: list[float] = []

    def run(watch: _Watch | None) -> None:
        def after(moment: JointMoment) -> None:
            ends.append(clock.now())
            if watch is not None:
                watch.end_step()

        ends.clear()
        train_together(networks, examples, recipe, warmup + iterations, seeds, on_step=after)

    with peak_memory(device) as peak:
        run(None)
    seconds = [after - before for before, after in zip(ends[warmup - 1 :], ends[warmup:], strict=False)]
    with _watching(_Watch(device)) as watch:
        run(watch)
    timed = watch.steps[warmup:]
    phases = {name: statistics.median(step[name] for step in timed) for name in TRAINING_PHASES}
    images = len(networks) * min(recipe.batch, len(examples.images))
    return Cost(tuple(seconds), phases, images, peak.bytes)


class _Watch:
    """Divides the time between what a training step does in order: batch, forward and backward, optimiser."""

    def __init__(self, device: torch.device) -> None:
        self._clock = Clock(device)
        self._last = self._clock.now()
        self._current: dict[str, float] = defaultdict(float)
        self._forwards = 0
        self.steps: list[dict[str, float]] = []

    def begin_forward(self, module: nn.Module, _args: Any) -> None:
        if isinstance(module, Network):
            self._spend(BACKWARD if self._forwards else AUGMENTATION)
            self._forwards += 1

    def end_forward(self, module: nn.Module, _args: Any, _result: Any) -> None:
        if isinstance(module, Network):
            self._spend(FORWARD)

    def begin_optimiser(self, *_: Any) -> None:
        self._spend(BACKWARD)

    def end_optimiser(self, *_: Any) -> None:
        self._spend(OPTIMISER)

    def end_step(self) -> None:
        self._spend(OPTIMISER)
        self.steps.append(self._current)
        self._current, self._forwards = defaultdict(float), 0

    def _spend(self, phase: str) -> None:
        now = self._clock.now()
        self._current[phase] += now - self._last
        self._last = now


@contextmanager
def _watching(watch: _Watch) -> Iterator[_Watch]:
    """Within the block ``watch`` hears of every network's forward pass and every optimiser's step."""
    handles = [
        register_module_forward_pre_hook(watch.begin_forward),
        register_module_forward_hook(watch.end_forward),
        register_optimizer_step_pre_hook(watch.begin_optimiser),
        register_optimizer_step_post_hook(watch.end_optimiser),
    ]
    try:
        yield watch
    finally:
        for handle in handles:
            handle.remove()
