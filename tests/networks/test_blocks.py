"""Features of an earlier block beside those of the whole network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from csdm_cli.networks import build
from csdm_cli.networks.blocks import BlockNetwork
from csdm_cli.networks.spec import NetworkSpec

IMAGES = torch.randn(3, 3, 19, 19, generator=torch.Generator().manual_seed(0))


def convnet(**other):
    return build(NetworkSpec(**{"name": "convnet", "width": 4, "depth": 3, "size": 19, "classes": 5} | other), seed=1)


def maps_after(network, images, kind) -> list[torch.Tensor]:
    """Outputs of the layers of a kind, one after another."""
    found: list[torch.Tensor] = []
    handles = [
        layer.register_forward_hook(lambda _, __, maps: found.append(maps))
        for layer in network.modules()
        if isinstance(layer, kind)
    ]
    network(images)
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("norm", ["instance", "none"])
@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_a_block_s_maps_are_averaged_down_to_the_size_of_the_last(norm, pooling):
    """19 pixels leave maps of 9, 4 and 2, whose last rows and columns the pooling drops where they are odd."""
    network = convnet(norm=norm, pooling=pooling)
    maps = maps_after(network, IMAGES, nn.AvgPool2d if pooling == "avg" else nn.MaxPool2d)
    assert [each.shape[-1] for each in maps] == [9, 4, 2]
    for block, side in ((1, 4), (2, 2), (3, 1)):
        features = BlockNetwork(network, block).features(IMAGES)
        own = maps[block - 1]
        blocks = [own[:, :, i * side : (i + 1) * side, j * side : (j + 1) * side] for i in range(2) for j in range(2)]
        expected = torch.stack([one.mean((2, 3)) for one in blocks], 2).flatten(1)
        torch.testing.assert_close(features[:, 16:], expected)
        torch.testing.assert_close(features[:, :16], network.features(IMAGES))


def test_without_pooling_there_is_nothing_to_average():
    network = convnet(pooling="none", size=5)
    images = IMAGES[:, :, :5, :5]
    first = maps_after(network, images, nn.ReLU)[0]
    torch.testing.assert_close(BlockNetwork(network, 1).features(images).chunk(2, 1)[1], first.flatten(1))


def test_logits_and_weights_are_those_of_the_network():
    network = convnet().eval()
    wide = BlockNetwork(network, 1)
    assert wide.feature_dim == 2 * network.feature_dim == wide.features(IMAGES).shape[1] and not wide.training
    torch.testing.assert_close(wide(IMAGES), network(IMAGES))
    assert {id(one) for one in wide.parameters()} == {id(one) for one in network.parameters()}


def test_only_a_convnet_is_made_of_blocks():
    assert convnet().blocks == 3
    assert [build(NetworkSpec(name), seed=0).blocks for name in ("vgg11", "alexnet")] == [0, 0]
