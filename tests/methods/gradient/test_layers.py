"""The outputs of a network's layers, and their means over images."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import relu

from csdm_cli.methods.gradient.layers import activations, class_means
from csdm_cli.networks import NetworkSpec, build

IMAGES = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_every_relu_and_the_encoder_in_their_order():
    network = build(NetworkSpec("convnet", width=4, depth=2, size=8), seed=0)
    found = activations(network, IMAGES)
    assert [tuple(layer.shape) for layer in found] == [(5, 4, 8, 8), (5, 4, 4, 4), (5, 4, 2, 2)]
    first = relu(network.encoder[1](network.encoder[0](IMAGES)))
    torch.testing.assert_close(found[0], first)
    torch.testing.assert_close(found[-1].flatten(1), network.features(IMAGES))
    assert all(not module._forward_hooks for module in network.encoder.modules())


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_means_are_the_same_in_any_pieces(at_once):
    network = build(NetworkSpec("convnet", width=4, depth=2, size=8), seed=0).double()
    images = IMAGES.double()
    layers = activations(network, images)
    means, outputs = class_means(network, images, at_once)
    torch.testing.assert_close(outputs, layers[-1].detach(), rtol=0, atol=1e-12)
    for found, expected in zip(means, [layer.mean(0) for layer in layers], strict=True):
        assert not found.requires_grad
        torch.testing.assert_close(found, expected.detach(), rtol=0, atol=1e-12)
