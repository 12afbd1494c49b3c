"""Several networks of one architecture taught the same examples at once, each as if it were alone.

Each has the shuffles, augmentations and cutmix of its own seed. Where all layers allow it the networks are one wide
network (see :mod:`csdm_cli.training.wide_network`): one step of it is a step of each, equal up to rounding, for as many
kernel launches as one network needs. That is meant for GPUs, which a small network leaves idle between launches; on a
CPU it measures a sixth slower (ConvNet-3 of width 32 and 128, five students, one core).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from csdm_cli.device import free_bytes
from csdm_cli.images.augment import Theta, augment, cutmix
from csdm_cli.names import Parallel
from csdm_cli.networks.network import Network
from csdm_cli.parallel import seat
from csdm_cli.training.batches import Batches, Examples
from csdm_cli.training.inference import output_bytes
from csdm_cli.training.loop import Moment, TrainState, optimise, train
from csdm_cli.training.losses import Loss, cross_entropy
from csdm_cli.training.recipe import Recipe
from csdm_cli.training.wide_network import apart, can_stand_side_by_side, joined, side_by_side

MEMORY_SHARE = 0.5  # of a GPU's free memory that networks in training may take


@dataclass(frozen=True)
class JointMoment:
    """The state of :func:`train_together` after a step.

    Attributes:
        step: steps done so far.
        losses: (R,) of this step's batches, on the device.
        states: copies what a resumed run of each network needs, together or alone.
        bring_up_to_date: puts the weights of this step into the networks given, which else hold those of the start.
    """

    step: int
    losses: Tensor
    states: Callable[[], list[TrainState]]
    bring_up_to_date: Callable[[], None]


def stands_together(parallel: Parallel, network: Network, device: torch.device) -> bool:
    """Whether networks like this one are to be trained side by side on ``device``.

    By itself that is so on CUDA, but not where equal bits are asked for: rounding depends on how many are together.
    """
    if parallel is Parallel.in_turn or not can_stand_side_by_side(network):
        return False
    automatic = device.type == "cuda" and not torch.are_deterministic_algorithms_enabled()
    return parallel is Parallel.together or automatic


def counted(numbers: Sequence[int], total: int) -> str:
    """``2/5``, ``1-5/5`` or ``1,4/5``: which of ``total`` networks are in training, counted from 1."""
    names = [str(number + 1) for number in numbers]
    consecutive = len(names) > 1 and numbers[-1] - numbers[0] == len(names) - 1
    return f"{f'{names[0]}-{names[-1]}' if consecutive else ','.join(names)}/{total}"


def groups_of(
    missing: Sequence[int], example: Network, examples: Examples, batch: int, *, together: bool
) -> list[list[int]]:
    """The ``missing`` networks in groups to be trained at once: alone, or as many as a GPU's free memory allows.

    Under torchrun there are groups for all processes, which share them.

    Args:
        missing: their numbers.
        example: one such network.
        examples: images and targets to learn from, on their device.
        batch: images per step of each.
        together: result of :func:`stands_together`.
    """
    size = max(1, -(-len(missing) // seat.processes())) if together else 1
    free = free_bytes(examples.images.device)
    if together and free is not None:
        shape = (min(batch, len(examples.images)), *examples.images.shape[1:])
        size = min(size, max(1, int(MEMORY_SHARE * free) // training_bytes(example, shape)))
    return [list(missing[first : first + size]) for first in range(0, len(missing), size)]


def training_bytes(network: Network, shape: Sequence[int]) -> int:
    """About what a training step takes: every layer's output and its gradient; weights, gradients and two averages.

    Args:
        network: on any device; it is not run.
        shape: (n, C, H, W) of a batch.
    """
    return 2 * output_bytes(network, shape) + 4 * sum(parameter.nbytes for parameter in network.parameters())


def train_together(
    networks: Sequence[Network],
    examples: Examples,
    recipe: Recipe,
    steps: int,
    seeds: Sequence[int],
    *,
    loss: Loss = cross_entropy,
    starts: Sequence[TrainState] | None = None,
    on_step: Callable[[JointMoment], None] | None = None,
) -> None:
    """:func:`~csdm_cli.training.loop.train` each network with its seed, in place; one alone is trained just so.

    Args:
        networks: R of one architecture, on the examples' device; several must be able to stand side by side.
        examples: images and targets to learn from.
        recipe: how.
        steps: optimiser steps of the whole run.
        seeds: one per network.
        loss: one value per image; its mean over each network's batch is minimised.
        starts: where an earlier run of the same arguments was, one of each network after the same step.
        on_step: called after every step.

    Raises:
        CsdmError: if the training of one diverged.
    """
    count, classes = len(networks), networks[0].classifier.out_features
    wide = networks[0] if count == 1 else side_by_side(networks)

    def bring_up_to_date() -> None:
        if wide is not networks[0]:
            for network, state in zip(networks, apart(wide.state_dict(), count), strict=True):
                network.load_state_dict(state)

    def tell(moment: Moment) -> None:
        if on_step is not None:
            states = partial(_states, moment, count)
            on_step(JointMoment(moment.step, moment.loss.view(-1), states, bring_up_to_date))

    if count == 1:
        start = starts[0] if starts else None
        train(wide, examples, recipe, steps, seeds[0], loss=loss, start=start, on_step=tell)
        return
    start = TrainState(starts[0].step, joined([state.tensors for state in starts])) if starts else None
    batches = _JointBatches(examples, recipe, seeds, classes)
    optimise(wide, batches.at, recipe, steps, seeds[0], loss=_of_each(loss), start=start, on_step=tell)
    bring_up_to_date()


class _JointBatches:
    """The batches of every seed, augmented in one go."""

    def __init__(self, examples: Examples, recipe: Recipe, seeds: Sequence[int], classes: int) -> None:
        self._examples, self._classes, self._cutmix = examples, classes, recipe.cutmix
        self._each = [Batches(examples, recipe, seed, classes) for seed in seeds]

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Images (n, R · C, H, W) and target probabilities (n, R, classes) of a step."""
        drawn = [batches.drawn(step) for batches in self._each]
        images, targets = self._examples.batch(torch.cat([one.index for one in drawn]), self._classes)
        operations = frozenset[str]().union(*(one.theta.operations for one in drawn))
        images = augment(images, Theta(torch.cat([one.theta.values for one in drawn]), operations))
        parts = zip(images.chunk(len(drawn)), targets.chunk(len(drawn)), drawn, strict=True)
        mixed = [self._examples.labelled(*cutmix(part, wanted, self._cutmix, one.rng)) for part, wanted, one in parts]
        return torch.cat([part for part, _ in mixed], 1), torch.stack([wanted for _, wanted in mixed], 1)


def _of_each(loss: Loss) -> Loss:
    """``loss`` of logits and targets (n, R, classes): (n, R)."""
    return lambda logits, targets: loss(logits.flatten(0, 1), targets.flatten(0, 1)).view(logits.shape[:2])


def _states(moment: Moment, count: int) -> list[TrainState]:
    state = moment.state()
    return [TrainState(state.step, tensors) for tensors in apart(state.tensors, count)]
