"""The interface of all networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from csdm_cli.names import NetworkName
from csdm_cli.networks import NETWORKS, network
from csdm_cli.networks.network import EncoderNetwork


def test_features_are_flattened_maps_and_logits_a_linear_map_of_them():
    net = EncoderNetwork(nn.Conv2d(1, 2, 3, padding=1), 2 * 16, 5)
    images = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert net.feature_dim == 32 and torch.equal(net.features(images), net.encoder(images).flatten(1))
    assert torch.equal(net(images), net.classifier(net.features(images))) and net(images).shape == (3, 5)


def test_only_batch_norm_couples_samples():
    for layer, couples in ((nn.BatchNorm2d(2), True), (nn.GroupNorm(2, 2), False), (nn.ReLU(), False)):
        assert EncoderNetwork(nn.Sequential(nn.Conv2d(1, 2, 1), layer), 2, 3).couples_samples is couples


def test_a_name_is_entered_once():
    assert set(NETWORKS) == set(NetworkName)
    with pytest.raises(ValueError, match="twice"):
        network("convnet")(NETWORKS["convnet"])
