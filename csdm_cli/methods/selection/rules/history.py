"""The history of a network's learning: images it gets right, and images it forgets (Toneva et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from csdm_cli.display.console import progress
from csdm_cli.networks import build
from csdm_cli.seeds import derive_seed
from csdm_cli.teachers.teaching import TeachingPlan
from csdm_cli.training.batches import Examples
from csdm_cli.training.inference import predict
from csdm_cli.training.loop import Moment, train
from csdm_cli.training.losses import bias_after, training_loss


def learning_history(plan: TeachingPlan, seed: int, *, quiet: bool = True) -> Tensor:
    """Train one network and note after every epoch which of its training images it gets right.

    Images are tested as they are, without augmentation, all by the same weights.

    Args:
        plan: the recipe of the training.
        seed: random seed of the weights and the training.
        quiet: show no progress.

    Returns:
        (epochs, N) bool, on the CPU.

    Raises:
        CsdmError: if training diverges or a class has no image.
    """
    data = plan.data
    network = build(plan.spec, derive_seed(seed, "weights")).to(data.images.device)
    added = bias_after(plan.loss, data.counts, torch.zeros_like(network.classifier.bias))
    loss = training_loss(plan.loss, data.counts)
    right: list[Tensor] = []
    with progress("learning history", max(plan.ends), quiet=quiet) as task:

        def after(moment: Moment) -> None:
            task.update(moment.step, loss=moment.loss)
            if moment.step in plan.ends:
                logits = predict(moment.network, data.images, data.mean, data.std) + added
                right.append((logits.argmax(1) == data.labels).cpu())

        examples = Examples(data.images, data.labels, data.mean, data.std)
        train(network, examples, plan.recipe, max(plan.ends), derive_seed(seed, "training"), loss=loss, on_step=after)
    return torch.stack(right)


def forgetting_events(right: Tensor) -> Tensor:
    """How often an image was right at one visit and wrong at the next: (visits, n) bool -> (n,) int64."""
    return (right[:-1] & ~right[1:]).sum(0)


def by_forgetting(right: Tensor, never_learned_first: bool, order: Tensor) -> Tensor:
    """Images from the most forgetting events to the fewest.

    Args:
        right: (visits, n) bool: was the image right?
        never_learned_first: whether an image that was never right counts as forgotten infinitely often, or never.
        order: (n,) a permutation: of images with equally many events, which comes first.

    Returns:
        (n,) positions.
    """
    events = forgetting_events(right).double()
    if never_learned_first:
        events[~right.any(0)] = torch.inf
    return order[events[order].argsort(descending=True, stable=True)]
