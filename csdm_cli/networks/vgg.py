"""VGG-11 in DC's 32x32 form: eight normalised convolutions, five times max-pooled."""

from __future__ import annotations

from torch import nn

from csdm_cli.names import NetworkName
from csdm_cli.networks.layers import norm_layers, require_size
from csdm_cli.networks.network import EncoderNetwork, Network, network
from csdm_cli.networks.spec import NetworkSpec

STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))


@network(NetworkName.vgg11)
def vgg11(spec: NetworkSpec) -> Network:
    """Stages of [conv 3x3, norm, ReLU] ended by 2x2 max-pooling; 512 features at 32x32.

    Raises:
        UsageError: the images are below 32x32.
    """
    require_size(spec, 2 ** len(STAGES))
    layers: list[nn.Module] = []
    channels = spec.channels
    for stage in STAGES:
        for width in stage:
            layers += [nn.Conv2d(channels, width, 3, padding=1), *norm_layers(spec.norm, width), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    side = spec.size // 2 ** len(STAGES)
    return EncoderNetwork(nn.Sequential(*layers), channels * side**2, spec.classes)
