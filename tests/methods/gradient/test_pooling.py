from __future__ import annotations

import pytest
import torch
from torch import nn

from csdm_cli.methods.gradient.pooling import HalfPool, pool_quickly
from csdm_cli.networks import build
from csdm_cli.networks.spec import NetworkSpec


@pytest.mark.parametrize("shape", [(2, 3, 6, 8), (1, 2, 5, 4), (2, 1, 2, 2)])
def test_it_is_average_pooling(shape) -> None:
    torch.manual_seed(0)
    images = torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(HalfPool()(images), nn.AvgPool2d(2)(images), rtol=1e-14, atol=1e-15)


def test_it_is_twice_differentiable() -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 2, 4, 6, dtype=torch.float64, requires_grad=True)

    def curved(x):
        return HalfPool()(x.square())

    assert torch.autograd.gradcheck(curved, images) and torch.autograd.gradgradcheck(curved, images)


def test_only_poolings_of_two_are_replaced() -> None:
    kept = nn.Sequential(nn.AvgPool2d(3), nn.AvgPool2d(2, padding=1), nn.AvgPool2d(2, ceil_mode=True), nn.MaxPool2d(2))
    pool_quickly(kept)
    assert not any(isinstance(module, HalfPool) for module in kept.modules())
    network = build(NetworkSpec("convnet", width=4, depth=2, size=8), seed=0)
    before = list(network.state_dict())
    pool_quickly(network)
    assert sum(isinstance(module, HalfPool) for module in network.modules()) == 2
    assert list(network.state_dict()) == before
