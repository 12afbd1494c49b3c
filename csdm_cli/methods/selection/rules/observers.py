"""The teachers' view of real images: features and logits, without gradient."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from csdm_cli.errors import UsageError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.networks.network import Network
from csdm_cli.teachers.pool import TeacherPool
from csdm_cli.training.inference import features_of


@dataclass(frozen=True)
class Observers:
    """Trained teachers on the device, in evaluation mode.

    Attributes:
        networks: one or more.
        mean, std: the normalisation they expect.
    """

    networks: tuple[Network, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, pool: TeacherPool | None, count: int, data: ImageSet) -> Observers:
        """The first ``count`` teachers of ``pool``, or all of them for 0.

        Raises:
            UsageError: if the pool has fewer.
        """
        assert pool is not None
        if count > len(pool):
            raise UsageError(f"--option observers={count}: the pool has {len(pool)}; name fewer, or pretrain more")
        device = data.images.device
        networks = (pool.network(number).to(device).eval() for number in range(count or len(pool)))
        return cls(tuple(networks), data.mean, data.std)

    def features(self, images: Tensor) -> Tensor:
        """Features that the classifiers see, the teachers' side by side: (n, C, H, W) -> (n, teachers·D)."""
        return torch.cat([features for features, _ in self.seen(images)], 1)

    @torch.no_grad()
    def seen(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Per teacher the features (n, D) and logits (n, classes) of uint8 images, or of floats in [0, 1]."""
        found = []
        for network in self.networks:
            features = features_of(network, images, self.mean, self.std)
            found.append((features, network.classifier(features)))
        return found
