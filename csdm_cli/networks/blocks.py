"""A network that also shows one of its earlier blocks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from csdm_cli.networks.layers import LeadingLinear
from csdm_cli.networks.network import Network, flattened


class BlockNetwork(Network):
    """A network whose features go on with the maps after one of its blocks, averaged down to the size of the last.

    Logits are those of the whole network, of the same pass.

    Args:
        network: has blocks, whose maps have as many channels as the last; its weights are shared.
        block: 1 to ``network.blocks``.
    """

    encoder: nn.Sequential

    def __init__(self, network: Network, block: int) -> None:
        super().__init__()
        layers = network.encoder
        assert isinstance(layers, nn.Sequential) and 1 <= block <= network.blocks
        end = block * len(layers) // network.blocks
        self.encoder = nn.Sequential(layers[:end], layers[end:])
        self.classifier = LeadingLinear(network.classifier)
        self.train(network.training)

    def features(self, images: Tensor) -> Tensor:
        """(N, channels, size, size) -> (N, 2·D): the network's own, then the block's."""
        maps = self.encoder[0](images)
        last = self.encoder[1](maps)
        pooled = F.avg_pool2d(maps, maps.shape[-1] // last.shape[-1])
        return torch.cat([flattened(last), flattened(pooled)], 1)

    @property
    def feature_dim(self) -> int:
        """2·D, the length of a feature vector."""
        return 2 * self.classifier.in_features
