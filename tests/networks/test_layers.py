"""Normalisation by name, and images that are too small."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from csdm_cli.errors import UsageError
from csdm_cli.names import Norm
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.networks.layers import norm_layers


def test_instance_norm_never_meets_single_pixels():
    """A map of one pixel minus its mean is zero, so the smallest accepted images must still give varied features."""
    for name, size in (("convnet", 8), ("vgg11", 32), ("resnet18", 9)):
        depth = 3 if name == "convnet" else None
        net = build(NetworkSpec(name, width=8, depth=depth, size=size), seed=0)
        features = net.features(torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(0)))
        assert features.std(0).mean() > 1e-3, name


def test_instance_norm_is_instance_norm():
    net = build(NetworkSpec("convnet", width=8, depth=1), seed=0)
    convolution, norm = net.encoder[0], net.encoder[1]
    maps = convolution(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(norm(maps), nn.functional.instance_norm(maps), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "depth", "size", "least"),
    [("convnet", 4, 8, 16), ("alexnet", None, 7, 8), ("vgg11", None, 16, 32), ("resnet18", None, 8, 9)],
)
def test_too_small_images_are_refused_with_the_least_size(name, depth, size, least):
    with pytest.raises(UsageError, match=f"{size}x{size} .* at least {least}x{least}"):
        build(NetworkSpec(name, depth=depth, size=size), seed=0)


def test_norms_by_name():
    norms = {name: norm_layers(name, 8) for name in Norm}
    assert norms["none"] == [] and isinstance(norms["batch"][0], nn.BatchNorm2d)
    groups = {name: norms[name][0].num_groups for name in ("instance", "layer", "group")}
    assert groups == {"instance": 8, "layer": 1, "group": 4}
    with pytest.raises(UsageError, match="width 6 does not divide into the 4 groups"):
        norm_layers("group", 6)
