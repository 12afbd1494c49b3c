"""ConvNet-D."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.names import Pooling
from csdm_cli.networks import NetworkSpec, build

# Size, classes, and parameters as published by the field's repositories.
PUBLISHED = [
    (32, 10, 320_010),
    (32, 100, 504_420),
    (64, 10, 467_850),
    (64, 100, 652_260),
    (128, 10, 615_690),
    (128, 100, 800_100),
]


@pytest.mark.parametrize(("size", "classes", "parameters"), PUBLISHED)
def test_parameter_counts_are_the_field_s(size, classes, parameters):
    net = build(NetworkSpec("convnet", size=size, classes=classes), seed=0)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters


@pytest.mark.parametrize("size", [8, 16, 28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_convnet_takes_every_usual_size(size, channels):
    net = build(NetworkSpec("convnet", width=4, channels=channels, size=size), seed=0)
    assert net(torch.zeros(2, channels, size, size)).shape == (2, 10)


@pytest.mark.parametrize("pooling", Pooling)
def test_pooling_of_the_convnet(pooling):
    net = build(NetworkSpec("convnet", width=4, depth=2, pooling=pooling, size=12), seed=0)
    assert net.feature_dim == 4 * (12 * 12 if pooling == "none" else 3 * 3)
    assert net(torch.zeros(1, 3, 12, 12)).shape == (1, 10)
