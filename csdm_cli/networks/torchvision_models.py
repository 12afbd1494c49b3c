"""Any torchvision classifier, for images larger than 32x32."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from csdm_cli.errors import UsageError
from csdm_cli.names import NetworkName
from csdm_cli.networks.network import EncoderNetwork, Network
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.safe_text import meant

PREFIX = "torchvision:"


def torchvision_network(spec: NetworkSpec) -> Network:
    """The torchvision classifier called ``spec.name``, untrained, its last linear layer split off.

    Raises:
        UsageError: no such classifier, images without three channels, or a size that it cannot take.
    """
    name = spec.name.removeprefix(PREFIX)
    _require_known(name)
    if spec.channels != 3:
        raise UsageError(f"torchvision's {name} takes images of 3 channels, not {spec.channels}: use convnet")
    try:
        model, feature_dim = _headless(name, spec.size)
        _try_out(model, spec)
    except (AssertionError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"torchvision's {name} cannot take {spec.size}x{spec.size} images ({reason}): use another size or network"
        ) from error
    return EncoderNetwork(model, feature_dim, spec.classes)


def _require_known(name: str) -> None:
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if name in known:
        return
    hint = meant(name, dict.fromkeys([*map(str, NetworkName), *known]), most=3)
    hint = hint or f"choose {', '.join(NetworkName)} or a torchvision one"
    raise UsageError(f"unknown network {name!r}: {hint}")


def _headless(name: str, size: int) -> tuple[nn.Module, int]:
    """The model without its classifier, and the length of its features."""
    import torchvision

    options: dict[str, Any] = {}
    if name in {"googlenet", "inception_v3"}:
        options = {"aux_logits": False, "init_weights": True}
    elif name.startswith("vit_"):
        options = {"image_size": size}
    elif name.startswith("maxvit"):
        options = {"input_size": (size, size)}
    model: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    if name.startswith("squeezenet"):  # its classifier is a convolution followed by a mean over pixels
        convolution = model.get_submodule("classifier.1")
        assert isinstance(convolution, nn.Conv2d)
        model.set_submodule("classifier", nn.Sequential(nn.Dropout(), nn.AdaptiveAvgPool2d(1)))
        return model, convolution.in_channels
    place, linear = [(place, module) for place, module in model.named_modules() if isinstance(module, nn.Linear)][-1]
    model.set_submodule(place, nn.Identity())
    return model, linear.in_features


@torch.no_grad()
def _try_out(model: nn.Module, spec: NetworkSpec) -> None:
    """One forward pass of an empty image, which fails where the size does not fit."""
    model.eval()(torch.zeros(1, spec.channels, spec.size, spec.size))
    model.train()
