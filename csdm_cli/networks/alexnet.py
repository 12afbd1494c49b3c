"""AlexNet in DC's 32x32 form: five convolutions, max-pooling, no normalisation."""

from __future__ import annotations

from torch import nn

from csdm_cli.names import NetworkName
from csdm_cli.networks.layers import require_size
from csdm_cli.networks.network import EncoderNetwork, Network, network
from csdm_cli.networks.spec import NetworkSpec


@network(NetworkName.alexnet)
def alexnet(spec: NetworkSpec) -> Network:
    """Convolutions of 128, 192, 256, 192 and 192 channels, three times halved; 3072 features at 32x32.

    Raises:
        UsageError: the images are below 8x8.
    """
    require_size(spec, 8)
    encoder = nn.Sequential(
        nn.Conv2d(spec.channels, 128, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(128, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(192, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 192, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(192, 192, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
    return EncoderNetwork(encoder, 192 * (spec.size // 8) ** 2, spec.classes)
