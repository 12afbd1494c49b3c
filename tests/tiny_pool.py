"""A small real-looking world: tiny images of three classes, two untrained teachers, everything in float64."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods.matching.csdm import CsdmParameters
from csdm_cli.names import AlphaSchedule, Distance, FrequencyRule, KernelName
from csdm_cli.networks import build
from csdm_cli.networks.spec import NetworkSpec

CSDM = CsdmParameters(
    KernelName.rbf, 1.5, 0.7, 12, FrequencyRule.monte_carlo, True, Distance.squared, AlphaSchedule.log_count, 0.8, 0.2
)


@dataclass(frozen=True)
class UntrainedPool:
    """Stands in for a trained pool: the weights are the initial ones of two seeds."""

    spec: NetworkSpec
    key: str = "untrained"
    teachers: int = 2

    def __len__(self) -> int:
        return self.teachers

    def network(self, teacher: int):
        return build(self.spec, seed=teacher)

    def weights(self, teacher: int, point):
        own = build(self.spec, seed=teacher).double().state_dict()
        if point == "final":
            return own
        other = build(self.spec, seed=100 + teacher).double().state_dict()
        share = point[1] if point[0] == "interpolate" else point[1] / 10
        return {name: (1 - share) * own[name] + share * other[name] for name in own}


def tiny_images() -> ImageSet:
    rng = torch.Generator().manual_seed(0)
    counts = (9, 6, 3)
    images = torch.randint(0, 256, (sum(counts), 3, 8, 8), generator=rng, dtype=torch.uint8)
    return ImageSet(images, counts, ("a", "b", "c"), (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))


def untrained(data: ImageSet) -> UntrainedPool:
    return UntrainedPool(NetworkSpec("convnet", 4, 2, "instance", "avg", 3, 8, data.classes))
