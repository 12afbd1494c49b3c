"""Linear probes: a linear classifier trained on the features of a frozen network, and nothing else.

The recipe is that of linear gradient matching (arXiv 2511.16674): Adam without weight decay, a rate of 0.001 for 256
images at a time, cosine to 0, the last step counting.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from csdm_cli.errors import CsdmError
from csdm_cli.networks.network import Network
from csdm_cli.training.batches import Batches, Examples
from csdm_cli.training.inference import images_at_once
from csdm_cli.training.losses import Loss, cross_entropy
from csdm_cli.training.recipe import Recipe
from csdm_cli.training.sampling import Shuffled

RATE, RATE_FOR = 1e-3, 256

# Features (n, D) and target probabilities (n, C) of a step.
ProbeBatches = Callable[[int], tuple[Tensor, Tensor]]


def probe_recipe(batch: int, augment: str = "none", augment_mode: str = "single") -> Recipe:
    """The recipe for ``batch`` images at a time; AdamW without decay is Adam."""
    return Recipe("adamw", RATE * batch / RATE_FOR, 0.0, 0.0, batch, augment, augment_mode, 0.0, "cosine")


def new_probe(dim: int, classes: int, seed: int) -> nn.Linear:
    """An untrained classifier (C, D) on the CPU, as torch starts it; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return nn.Linear(dim, classes)


def train_probe(
    probe: nn.Linear,
    batch_at: ProbeBatches,
    recipe: Recipe,
    steps: int,
    *,
    loss: Loss = cross_entropy,
    on_step: Callable[[int, Tensor], None] = lambda step, value: None,
) -> None:
    """Train ``probe`` in place, on the batches' device.

    ``on_step`` is called with the steps done and the loss of the last one.

    Raises:
        CsdmError: if training diverges.
    """
    optimizer = torch.optim.AdamW(probe.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    for step in range(steps):
        features, targets = batch_at(step)
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr_at(step, steps)
        optimizer.zero_grad(set_to_none=True)
        value = loss(probe(features), targets).mean()
        value.backward()
        optimizer.step()
        on_step(step + 1, value.detach())
    if not all(bool(parameter.isfinite().all()) for parameter in probe.parameters()):
        raise CsdmError("training of a linear probe diverged: its weights are not finite")


def kept_features(features: Tensor, targets: Tensor, batch: int, seed: int) -> ProbeBatches:
    """Batches of ``features`` (N, D), computed once, with their ``targets`` (N, C) probabilities."""
    positions = Shuffled(len(features), min(batch, len(features)), seed)

    def at(step: int) -> tuple[Tensor, Tensor]:
        index = positions(step).to(features.device)
        return features[index], targets[index]

    return at


def live_features(network: Network, examples: Examples, recipe: Recipe, seed: int, classes: int) -> ProbeBatches:
    """Batches of features that ``network`` finds in images augmented anew at every step."""
    batches = Batches(examples, recipe, seed, classes)

    def at(step: int) -> tuple[Tensor, Tensor]:
        images, targets = batches.at(step)
        pieces = images.split(images_at_once(images, network))
        with torch.no_grad():
            return torch.cat([network.features(piece) for piece in pieces]), targets

    return at


def probabilities(targets: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """Targets as probabilities (N, C), whether they are classes (N,) or are so already."""
    return (F.one_hot(targets, classes) if targets.ndim == 1 else targets).to(dtype)
