"""A small long-tailed set and teachers for it, without training."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.contract import Building
from csdm_cli.networks import build
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.training.recipe import Recipe

RECIPE = Recipe("sgd", 0.1, 0.9, 0.0, 4, "none", "single", 0.0, "steps")


@dataclass(frozen=True)
class SmallPool:
    """Stands in for a trained pool: the networks are untrained, and as unlike as their seeds."""

    spec: NetworkSpec
    teachers: int = 2
    description: dict = field(default_factory=lambda: {"recipe": RECIPE.as_dict()})

    def __len__(self) -> int:
        return self.teachers

    def network(self, teacher: int):
        return build(self.spec, seed=teacher).eval().requires_grad_(False)


def small_set(counts=(9, 6, 3), size=8) -> ImageSet:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (sum(counts), 3, size, size), generator=rng, dtype=torch.uint8)
    return ImageSet(images, counts, tuple("abcdef"[: len(counts)]), (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))


def building(ipc=2, factor=1, seed=0, counts=(9, 6, 3), size=8) -> Building:
    data = small_set(counts, size)
    return Building(data, ipc, factor, seed, SmallPool(NetworkSpec("convnet", 4, 2, "instance", "avg", 3, size, 3)))


def features_of(start: Building, label: int) -> torch.Tensor:
    """The class's features of all teachers side by side."""
    images = normalise(start.data.of_class(label), start.data.mean, start.data.std)
    return torch.cat([start.pool.network(number).features(images) for number in range(len(start.pool))], 1)


def positions(start: Building, images: torch.Tensor, label: int) -> list[int]:
    """Which of the class's images these are; every one must be among them."""
    own = start.data.of_class(label).float() / 255
    found = [[n for n, candidate in enumerate(own) if torch.equal(image, candidate)] for image in images]
    assert all(len(matches) == 1 for matches in found)
    return [matches[0] for matches in found]
