"""The debiased recipe on a long tail: mixed pairs of images, and a second head that minds rare classes more and more.

A network that knows its way round a long tail is the strongest that all images give. This is the recipe of GLMC (Du et
al., CVPR 2023, "Global and Local Mixture Consistency Cumulative Learning") with the settings that RLDD trains its
experts with (arXiv 2511.18858), but for its consistency loss between the two mixtures, which takes two more networks:

* every image of a plain draw is paired with one of a draw in which an image of class c weighs n_c^-0.2;
* one λ ~ Beta(1, 1) mixes a first view of all pairs by mixup, and a second one by CutMix;
* of two linear heads on the same features the first learns the mixed targets y, the second w∘y, where
  w_c ∝ n_c^-0.8 has mean 1; their cross-entropies are weighed by a and 1 − a, a = 1 − (step / steps)²;
* the second head alone decides.

The loss is linear in its targets, so that the weights a and w are put into these: the loss itself knows no step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from csdm_cli.device import to_device
from csdm_cli.images.augment import augment, box, draw, parse_strategy
from csdm_cli.seeds import generator
from csdm_cli.training.batches import Examples
from csdm_cli.training.losses import cross_entropy
from csdm_cli.training.recipe import Recipe
from csdm_cli.training.sampling import Shuffled

HEADS = 2
DRAW_POWER, TARGET_POWER = 0.2, 0.8


class DebiasedBatches:
    """Every step's mixed images and the weighed targets of both heads, as a function of the step.

    Args:
        examples: images with hard targets, each class having an image.
        recipe: its batch is the number of mixed images, half of them by mixup and half by CutMix.
        steps: optimiser steps of the whole run.
        seed: random seed of draws, augmentation and mixing.
        classes: C.
    """

    def __init__(self, examples: Examples, recipe: Recipe, steps: int, seed: int, classes: int) -> None:
        self._examples, self._recipe, self._steps, self._seed, self._classes = examples, recipe, steps, seed, classes
        pairs = max(1, min(recipe.batch, len(examples.images)) // 2)
        labels = examples.targets.cpu()
        counts = torch.bincount(labels, minlength=classes).double()
        self._plain = Shuffled(len(labels), pairs, seed)
        self._chances = counts[labels] ** -DRAW_POWER  # (N,)
        weights = counts**-TARGET_POWER
        self._weights = weights * (classes / weights.sum())  # (C,)
        self._strategy = parse_strategy(recipe.augment)

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Images (2n, channels, H, W), n mixed by mixup and n by CutMix, and targets (2n, 2C) of both heads."""
        index, rng = self._plain(step), generator(self._seed, "debiased", step)
        partners = torch.multinomial(self._chances, len(index), replacement=True, generator=rng)
        lam, *centre = torch.rand(3, generator=rng, dtype=torch.float64).tolist()
        images, targets = self._examples.batch(index, self._classes)
        others, their_targets = self._examples.batch(partners, self._classes)
        by_mixup = torch.lerp(self._view(others, rng), self._view(images, rng), lam)
        rows, columns = box(images.shape[-1], lam, *centre)
        by_cutmix = self._view(images, rng)  # may be `images`, which nothing reads hereafter
        by_cutmix[:, :, rows, columns] = self._view(others, rng)[:, :, rows, columns]
        both = self._of_both_heads(torch.lerp(their_targets, targets, lam), step)
        return torch.cat([by_mixup, by_cutmix]), both.repeat(2, 1)

    def _view(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """The images, each augmented by a draw of its own."""
        return augment(images, draw(rng, len(images), self._strategy, self._recipe.augment_mode))

    def _of_both_heads(self, targets: Tensor, step: int) -> Tensor:
        """a·y and (1 − a)·w∘y side by side: (n, C) -> (n, 2C)."""
        a = 1 - (step / self._steps) ** 2
        weights = to_device(self._weights.to(targets.dtype), targets.device)
        return torch.cat([a * targets, (1 - a) * weights * targets], 1)


def two_heads(logits: Tensor, targets: Tensor) -> Tensor:
    """The sum of both heads' cross-entropies: (n, 2C), (n, 2C) -> (n,)."""
    pairs = zip(logits.chunk(HEADS, 1), targets.chunk(HEADS, 1), strict=True)
    first, second = (cross_entropy(own, wanted) for own, wanted in pairs)
    return first + second
