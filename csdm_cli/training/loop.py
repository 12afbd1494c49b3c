"""The one supervised loop: teachers, students and full-data controls are all trained by it.

Whatever is random in a step is a function of the seed and the step's number, so the state of a run is its weights,
its optimiser and that number: a resumed run computes the same bytes as one that was never interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.networks.network import Network
from csdm_cli.seeds import derive_seed
from csdm_cli.training.batches import Batches, Examples
from csdm_cli.training.debiased import HEADS, DebiasedBatches
from csdm_cli.training.gsam import gsam, once
from csdm_cli.training.inference import images_at_once
from csdm_cli.training.losses import Loss, cross_entropy
from csdm_cli.training.optimizer_state import PREFIX, averages, averages_fit, restore_averages
from csdm_cli.training.recipe import Recipe

NETWORK = "network."


@dataclass(frozen=True)
class TrainState:
    """All that the steps after ``step`` depend on, as tensors of its own that a file can hold."""

    step: int
    tensors: dict[str, Tensor]

    @classmethod
    def capture(cls, step: int, network: Network, optimizer: torch.optim.Optimizer) -> TrainState:
        """Copy weights, buffers and the optimiser's averages."""
        tensors = {NETWORK + name: value.detach().clone() for name, value in network.state_dict().items()}
        kept = averages(optimizer, network.parameters())
        return cls(step, tensors | {name: value.clone() for name, value in kept.items()})

    def fits(self, network: Network) -> bool:
        """Whether :meth:`restore` can put all of it into ``network`` and an optimiser of its parameters."""
        shapes = {NETWORK + name: value.shape for name, value in network.state_dict().items()}
        own = {name: value.shape for name, value in self.tensors.items() if not name.startswith(PREFIX)}
        return own == shapes and averages_fit(network.parameters(), self.tensors)

    def restore(self, network: Network, optimizer: torch.optim.Optimizer) -> None:
        """Put the copies into ``network`` and ``optimizer``, whatever device they were saved from."""
        own = {name.removeprefix(NETWORK): t for name, t in self.tensors.items() if name.startswith(NETWORK)}
        network.load_state_dict(own)
        restore_averages(optimizer, network.parameters(), self.tensors)


@dataclass(frozen=True)
class Moment:
    """The state of :func:`train` after a step.

    Attributes:
        step: steps done so far.
        loss: mean loss of this step's batch, on the device: a scalar, or (R,) of R networks side by side.
        network: the network being trained.
        state: copies what a resumed run needs.
    """

    step: int
    loss: Tensor
    network: Network
    state: Callable[[], TrainState]


def train(
    network: Network,
    examples: Examples,
    recipe: Recipe,
    steps: int,
    seed: int,
    *,
    loss: Loss = cross_entropy,
    start: TrainState | None = None,
    on_step: Callable[[Moment], None] | None = None,
) -> None:
    """Train ``network`` in place for ``steps`` optimiser steps, or for what is left of them after ``start``.

    Every step takes ``min(batch, N)`` images: shuffles of all N follow one another, and the batches are cut from
    that sequence without regard to where a shuffle ends. A batch is augmented, every image by its own θ, and then
    mixed by cutmix.

    Args:
        network: on the examples' device; left in training mode.
        examples: images and targets to learn from.
        recipe: how.
        steps: optimiser steps of the whole run.
        seed: random seed of shuffles, augmentation, cutmix and the network's own randomness (dropout).
        loss: one value per image; its mean over the batch is minimised.
        start: where an earlier run of the same arguments was.
        on_step: called after every step.

    Raises:
        CsdmError: if the training diverged.
    """
    outputs = network.classifier.out_features
    if recipe.sampling == "debiased":
        batch_at = DebiasedBatches(examples, recipe, steps, seed, outputs // HEADS).at
    else:
        batch_at = Batches(examples, recipe, seed, outputs).at
    optimise(network, batch_at, recipe, steps, seed, loss=loss, start=start, on_step=on_step)


def optimise(
    network: Network,
    batch_at: Callable[[int], tuple[Tensor, Tensor]],
    recipe: Recipe,
    steps: int,
    seed: int,
    *,
    loss: Loss = cross_entropy,
    start: TrainState | None = None,
    on_step: Callable[[Moment], None] | None = None,
) -> None:
    """:func:`train` on any batches.

    Args:
        network: as in :func:`train`.
        batch_at: images and targets of a step, ready for the network and the loss.
        recipe: its optimiser and schedule are used.
        steps: optimiser steps of the whole run.
        seed: random seed of the network's own randomness.
        loss: one value per image, (n,) or (n, R) for R networks side by side.
        start: where an earlier run of the same arguments was.
        on_step: called after every step.

    Raises:
        CsdmError: if the training diverged.
    """
    optimizer = _optimizer(network, recipe)
    done = 0
    if start is not None:
        start.restore(network, optimizer)
        done = start.step
    value = torch.tensor(torch.nan)
    network.train()
    gradient = partial(gsam, network, rho=recipe.rho, ascent=recipe.ascent) if recipe.optimizer == "gsam" else once
    for step in range(done, steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr_at(step, steps)
        images, targets = batch_at(step)  # (n, R·channels, H, W) and (n, …, C), R networks side by side
        images = images.to(network.classifier.weight.dtype)
        chance = derive_seed(seed, "network", step)
        value = gradient(partial(_seeded_backward, network, images, targets, loss, chance))  # () or (R,)
        optimizer.step()
        if on_step is not None:
            on_step(Moment(step + 1, value, network, partial(TrainState.capture, step + 1, network, optimizer)))
    last = float(value.mean())
    if done < steps and not math.isfinite(last):
        raise CsdmError(f"training diverged: the loss is {last} after {steps} steps; lower the learning rate")


def _seeded_backward(network: Network, images: Tensor, targets: Tensor, loss: Loss, seed: int) -> Tensor:
    """:func:`backward`, the network's own randomness being that of ``seed``."""
    with own_randomness(images.device, seed):
        return backward(network, images, targets, loss)


def backward(network: Network, images: Tensor, targets: Tensor, loss: Loss, at_once: int | None = None) -> Tensor:
    """Leave the mean loss's gradient in the parameters; exact up to rounding in parts, where no layer couples samples.

    Parts that stay in the processor's cache take half the time (see :mod:`csdm_cli.training.inference`).

    Args:
        network: one, or R side by side.
        images: (n, channels, H, W), or (n, R·channels, H, W).
        targets: (n, C), or (n, R, C): probabilities of C classes.
        loss: one value per image, (n,) or (n, R).
        at_once: images per part on a CPU; None is as many as the size of images suggests.

    Returns:
        the mean loss, () or (R,), detached.
    """
    network.zero_grad(set_to_none=True)
    whole = network.couples_samples or images.device.type != "cpu"
    size = len(images) if whole else max(1, (at_once or images_at_once(images)) // targets[0, ..., 0].numel())
    total = torch.zeros(targets.shape[1:-1], device=images.device, dtype=images.dtype)
    for part, wanted in zip(torch.split(images, size), torch.split(targets, size), strict=True):
        value = loss(network(part), wanted).sum(0) / len(images)  # of logits (m, C) or (m, R, C): () or (R,)
        value.backward(torch.ones_like(value))
        total += value.detach()
    return total


def _optimizer(network: Network, recipe: Recipe) -> torch.optim.Optimizer:
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise UsageError("a frozen backbone is never trained: name another network with --network")
    if recipe.optimizer != "adamw":
        return torch.optim.SGD(
            network.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
    return torch.optim.AdamW(network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)


@contextmanager
def own_randomness(device: torch.device, seed: int) -> Iterator[None]:
    """Dropout knows no other source than the global one: seed it here, and leave it as it was outside."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed every CUDA device
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
