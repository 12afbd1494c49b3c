"""The batches a network learns from: every one is a function of the seed and the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from csdm_cli.device import to_device
from csdm_cli.images.augment import Theta, augment, cutmix, draw, parse_strategy
from csdm_cli.images.normalisation import normalise
from csdm_cli.seeds import generator
from csdm_cli.training.labeller import Labeller
from csdm_cli.training.recipe import Recipe
from csdm_cli.training.sampling import ClassAware, Sampler, Shuffled


@dataclass(frozen=True)
class Examples:
    """The images and targets to learn from.

    Attributes:
        images: (N, C, H, W) uint8, or floats in [0, 1], on the device where the network is trained.
        targets: (N,) int64 classes, or (N, classes) probabilities; on the same device.
        mean, std: the normalisation of the network's input.
        labeller: gives every augmented and mixed batch other targets; None leaves those of ``targets``.
    """

    images: Tensor
    targets: Tensor
    mean: Sequence[float]
    std: Sequence[float]
    labeller: Labeller | None = None

    def __post_init__(self) -> None:
        assert len(self.images) == len(self.targets) > 0 and self.targets.device == self.images.device

    def batch(self, index: Tensor, classes: int) -> tuple[Tensor, Tensor]:
        """Normalised images and target probabilities at ``index``: (n, C, H, W), (n, classes)."""
        index = to_device(index, self.images.device)
        images, targets = normalise(self.images[index], self.mean, self.std), self.targets[index]
        return images, (F.one_hot(targets, classes) if targets.ndim == 1 else targets).to(images.dtype)

    def labelled(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """A batch as it is learned from: its images, and their ``targets`` or the labeller's."""
        return images, targets if self.labeller is None else self.labeller(images)


@dataclass(frozen=True)
class Drawn:
    """The random choices of a step's batch.

    Attributes:
        index: (n,) which images, on the CPU.
        theta: n rows, how each is augmented.
        rng: the source of what comes after: cutmix.
    """

    index: Tensor
    theta: Theta
    rng: torch.Generator


class Batches:
    """Every step's augmented and mixed images, as a function of the step."""

    def __init__(self, examples: Examples, recipe: Recipe, seed: int, classes: int) -> None:
        self._examples, self._recipe, self._seed, self._classes = examples, recipe, seed, classes
        size = min(recipe.batch, len(examples.images))
        self._index: Sampler = Shuffled(len(examples.images), size, seed)
        if recipe.sampling == "class-aware":
            self._index = ClassAware(examples.targets, size, seed)
        self._strategy = parse_strategy(recipe.augment)

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Images (n, C, H, W) and target probabilities (n, classes) of a step."""
        drawn = self.drawn(step)
        images, targets = self._examples.batch(drawn.index, self._classes)
        return self._examples.labelled(*cutmix(augment(images, drawn.theta), targets, self._recipe.cutmix, drawn.rng))

    def drawn(self, step: int) -> Drawn:
        """The random choices that decide a step's batch."""
        index, rng = self._index(step), generator(self._seed, "augment", step)
        return Drawn(index, draw(rng, len(index), self._strategy, self._recipe.augment_mode), rng)
