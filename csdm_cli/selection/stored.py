"""From the images that a rule picks to the images that are stored."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from csdm_cli.decode import encode_mix
from csdm_cli.engine.initial import shifted
from csdm_cli.methods.contract import Building, Built
from csdm_cli.seeds import generator

# From a class and a number not above its images': positions of that many distinct ones, best first.
Rule = Callable[[int, int], Tensor]


def selected(start: Building, tiled: bool, rule: Rule) -> Built:
    """What ``rule`` picks of every class: real images as they are, or ``tiled`` at the factor.

    A class with fewer images than needed is used in rounds, each in the rule's order; from the second round on every
    image is shifted as in :func:`csdm_cli.engine.initial.pick_images`.
    """
    factor = start.factor if tiled else 1
    wanted = start.ipc * factor**2
    chosen = []
    for label, count in enumerate(start.data.counts):
        picks = rule(label, min(wanted, count))
        images = start.data.of_class(label)[picks.to(start.data.images.device)]
        chosen.append(repeated(images, wanted, generator(start.seed, "repeats", label)))
    return Built(encode_mix(torch.cat(chosen).float() / 255, factor, start.data.size), factor)


def repeated(images: Tensor, wanted: int, rng: torch.Generator) -> Tensor:
    """``wanted`` of (n, C, H, W) images: all in their order, and again, shifted, as often as it takes."""
    rounds = [images]
    while len(rounds) * len(images) < wanted:
        rounds.append(shifted(images, rng))
    return torch.cat(rounds)[:wanted]
