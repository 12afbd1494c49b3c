"""Networks side by side in one."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from csdm_cli.names import Norm
from csdm_cli.networks import Network, NetworkSpec, build
from csdm_cli.networks.network import EncoderNetwork
from csdm_cli.training.wide_network import apart, can_stand_side_by_side, joined, side_by_side
from tests.training.test_many import CONVNET, networks


def test_columns_see_only_their_own_channels():
    wide = side_by_side(networks(CONVNET))
    images = torch.randn(2, 9, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    images.requires_grad_(True)
    logits = wide(images)
    assert logits.shape == (2, 3, 3)
    for column, network in enumerate(networks(CONVNET)):
        own = images[:, 3 * column : 3 * column + 3]
        torch.testing.assert_close(logits[:, column], network(own), rtol=0, atol=1e-12)
        (gradient,) = torch.autograd.grad(logits[:, column].sum(), images, retain_graph=True)
        others = [channel for channel in range(9) if channel // 3 != column]
        assert not gradient[:, others].any() and gradient[:, 3 * column].any()


def test_states_are_joined_and_taken_apart():
    several = [network.state_dict() for network in networks(replace(CONVNET, norm=Norm.batch))]
    wide = side_by_side(networks(replace(CONVNET, norm=Norm.batch))).state_dict()
    for name, value in joined(several).items():
        assert torch.equal(value, wide[name])
    for own, part in zip(several, apart(wide, 3), strict=True):
        assert own.keys() == part.keys() and all(torch.equal(own[name], part[name]) for name in own)


def test_unknown_layers_are_not_put_side_by_side():
    class Mixing(nn.ReLU):
        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            return maps - maps.mean(1, keepdim=True)

    def with_layer(layer: nn.Module) -> Network:
        return EncoderNetwork(nn.Sequential(nn.Conv2d(3, 4, 3), layer), 4 * 36, 3)

    assert can_stand_side_by_side(with_layer(nn.ReLU()))
    for layer in (nn.Dropout(), nn.Softmax(1), nn.LayerNorm([4, 6, 6]), Mixing()):
        assert not can_stand_side_by_side(with_layer(layer))
    assert not can_stand_side_by_side(build(NetworkSpec("squeezenet1_1", size=32), 0))
