"""ConvNet-D, the field's standard small network (Gidaris & Komodakis 2018, as in DC)."""

from __future__ import annotations

from torch import nn

from csdm_cli.names import NetworkName
from csdm_cli.networks.layers import norm_layers, require_size
from csdm_cli.networks.network import EncoderNetwork, Network, network
from csdm_cli.networks.spec import NetworkSpec

POOLING = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}


@network(NetworkName.convnet)
def convnet(spec: NetworkSpec) -> Network:
    """``depth`` blocks of [conv 3x3, norm, ReLU, 2x2 pooling], all of ``width`` channels.

    Raises:
        UsageError: fewer than one pixel would remain after the pooling.
    """
    depth = spec.depth
    assert depth is not None
    pooled = spec.pooling != "none"
    if pooled:
        require_size(spec, 2**depth, f"a depth below {depth} or larger images")
    layers: list[nn.Module] = []
    channels = spec.channels
    for _ in range(depth):
        layers += [nn.Conv2d(channels, spec.width, 3, padding=1), *norm_layers(spec.norm, spec.width), nn.ReLU()]
        if pooled:
            layers.append(POOLING[spec.pooling](2))
        channels = spec.width
    side = spec.size // 2**depth if pooled else spec.size
    return EncoderNetwork(nn.Sequential(*layers), spec.width * side**2, spec.classes, blocks=depth)
