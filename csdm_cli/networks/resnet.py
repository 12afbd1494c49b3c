"""ResNet-18 in the field's 32x32 form (He et al. 2016; stem of DC): 3x3 stem, no max-pooling after it."""

from __future__ import annotations

from torch import Tensor, nn

from csdm_cli.names import NetworkName
from csdm_cli.networks.layers import norm_layers, require_size
from csdm_cli.networks.network import EncoderNetwork, Network, network
from csdm_cli.networks.spec import NetworkSpec

WIDTHS = (64, 128, 256, 512)
BLOCKS = 2  # per width
SMALLEST_NORMED = 9  # below it the last maps are single pixels, which instance norm turns into zeros


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, channels: int, width: int, stride: int, norm: str) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, padding=1, bias=False),
            *norm_layers(norm, width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            *norm_layers(norm, width),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), *norm_layers(norm, width))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, channels, s, s) -> (N, width, s / stride, s / stride)."""
        summed: Tensor = self.branch(maps) + self.shortcut(maps)
        return summed.relu()


@network(NetworkName.resnet18)
def resnet18(spec: NetworkSpec) -> Network:
    """Four stages of two basic blocks, global average pooling, 512 features at any size.

    Raises:
        UsageError: the images are too small for the instance norm of the last stage.
    """
    if spec.norm == "instance":
        require_size(spec, SMALLEST_NORMED)
    layers: list[nn.Module] = [
        nn.Conv2d(spec.channels, WIDTHS[0], 3, padding=1, bias=False),
        *norm_layers(spec.norm, WIDTHS[0]),
        nn.ReLU(),
    ]
    channels = WIDTHS[0]
    for stage, width in enumerate(WIDTHS):
        for block in range(BLOCKS):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(BasicBlock(channels, width, stride, spec.norm))
            channels = width
    layers.append(nn.AdaptiveAvgPool2d(1))
    return EncoderNetwork(nn.Sequential(*layers), channels, spec.classes)
