"""The part that all methods selecting whole images share: all but the rule."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from csdm_cli.images.initial import shifted
from csdm_cli.images.multi_formation import encode_mix
from csdm_cli.methods.contract import Building, BuildingMethod, Outcome, option
from csdm_cli.seeds import generator


class SelectionMethod(BuildingMethod):
    """Stores what its rule picks of every class: as it is, or tiled at the factor (``tiled`` of its parameters)."""

    needs_teachers = True
    reads_factor = True

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """Those of the library that the field's tables use."""
        return DEEPCORE

    def idle_options(self) -> frozenset[str]:
        """The factor, unless picks are tiled."""
        return frozenset() if self.parameters.tiled else frozenset({"factor"})

    @abstractmethod
    def rule(self, start: Building) -> Rule:
        """How images are picked; what it needs for all classes is computed here."""

    def build(self, start: Building) -> Outcome:
        """Pick, and store."""
        return selected(start, self.parameters.tiled, self.rule(start))


# From a class and a number not above its images': positions of that many distinct ones, best first.
Rule = Callable[[int, int], Tensor]


def selected(start: Building, tiled: bool, rule: Rule) -> Outcome:
    """The picks of ``rule`` from every class: real images as they are, or ``tiled`` at the factor.

    A class with fewer images than needed is used in rounds, each in the rule's order; from the second round on every
    image is shifted as in :func:`csdm_cli.images.initial.pick_images`.
    """
    factor = start.factor if tiled else 1
    wanted = start.ipc * factor**2
    chosen = []
    for label, count in enumerate(start.data.counts):
        picks = rule(label, min(wanted, count))
        images = start.data.of_class(label)[picks.to(start.data.images.device)]
        chosen.append(repeated(images, wanted, generator(start.seed, "repeats", label)))
    return Outcome(encode_mix(torch.cat(chosen).float() / 255, factor, start.data.size), factor)


def repeated(images: Tensor, wanted: int, rng: torch.Generator) -> Tensor:
    """``wanted`` of (n, C, H, W) images: all in their order, and again, shifted, as often as it takes."""
    rounds = [images]
    while len(rounds) * len(images) < wanted:
        rounds.append(shifted(images, rng))
    return torch.cat(rounds)[:wanted]


@dataclass(frozen=True)
class Selecting:
    """Parameters of every method that selects whole images."""

    tiled: bool = option(False, "factor² selected images, shrunk, in each stored one, as optimised methods start from")


@dataclass(frozen=True)
class Looking:
    """Parameters of every method that looks through the teachers."""

    observers: Annotated[int, Field(ge=0)] = option(0, "how many of the pool's teachers to look through; 0: all")


@dataclass(frozen=True)
class SelectingByLooks(Looking, Selecting):
    """Parameters of every method that selects whole images by what the teachers see."""


# Of the library DeepCore (Guo et al. 2022, arXiv 2204.08499), as far as csdm has them: Nesterov's momentum,
# its augmentation and its training on what was selected are left out.
DEEPCORE: Mapping[str, Mapping[str, Any]] = {
    "pretrain": {
        "network": "resnet18",
        "norm": "batch",
        "teachers": 1,
        "epochs": 40,
        "loss": "cross-entropy",
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "cutmix": 0.0,
    }
}
