"""A backbone: a network that is never trained, behind the interface of every other one.

Images come as all networks' do, normalised by the dataset's statistics and of the dataset's size. The backbone puts
its own normalisation and size in their place before anything else, all of it differentiable: gradients reach the
pixels, and nothing but the pixels. Only the classifier, a linear probe on its features, is ever fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from csdm_cli.errors import UsageError
from csdm_cli.names import BackboneName
from csdm_cli.networks.network import EncoderNetwork, Network
from csdm_cli.networks.patch_kmeans import PatchKMeans
from csdm_cli.networks.spec import NetworkSpec


class FrozenEncoder(nn.Module):
    """A body with its own normalisation and size in the place of the dataset's.

    Args:
        body: maps (N, c, s, s), normalised as it wants, to (N, D) or to maps that flatten to it.
        channels: number of channels of the images, 1 or 3; where the body wants 3, grey is repeated.
        body_channels: c.
        size: s.

    Attributes:
        gain, offset: (c,), of the affine map from one normalisation to the other.
    """

    gain: Tensor
    offset: Tensor

    def __init__(self, body: nn.Module, channels: int, body_channels: int, size: int) -> None:
        super().__init__()
        self.body, self.repeats, self.size = body, body_channels // channels, size
        self.register_buffer("gain", torch.ones(body_channels))
        self.register_buffer("offset", torch.zeros(body_channels))

    def forward(self, images: Tensor) -> Tensor:
        """(N, channels, size, size) -> what the body makes of them."""
        images = images.repeat(1, self.repeats, 1, 1) * self.gain[:, None, None] + self.offset[:, None, None]
        if images.shape[-1] != self.size:
            images = F.interpolate(images, size=(self.size, self.size), mode="bilinear", antialias=True)
        maps: Tensor = self.body(images)
        return maps


class FrozenNetwork(EncoderNetwork):
    """A network in evaluation mode for good, whose weights ask for no gradient."""

    # Their layers are many and small: so efficientnet-lite0 takes 0.5 to 0.7 of the time per image that it takes with 4
    # at once, of 64 and 128 pixels; of 224 the same.
    at_least_on_cpu = 16

    def __init__(self, encoder: FrozenEncoder, feature_dim: int, classes: int) -> None:
        super().__init__(encoder, feature_dim, classes)
        self.train(False)
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> FrozenNetwork:
        """Nothing changes: batch statistics and dropout stay those of evaluation."""
        super().train(False)
        return self


def frozen_network(spec: NetworkSpec, builder: Callable[[NetworkSpec], Network]) -> Network:
    """The backbone of ``spec.frozen``, with weights that are to be loaded; ``builder`` makes the body of others' names.

    Raises:
        UsageError: if there is no such network, or it cannot take these images.
    """
    assert spec.frozen is not None
    channels = len(spec.frozen.mean)
    if channels not in (spec.channels, 3):
        raise UsageError(f"{spec.name}: its normalisation has {channels} channels, the images {spec.channels}")
    if spec.name == BackboneName.patch_kmeans:
        assert spec.frozen.centres is not None
        body: nn.Module = PatchKMeans(channels, spec.frozen.size, spec.frozen.centres)
        dim = 4 * spec.frozen.centres
    else:
        whole = builder(replace(spec, frozen=None, size=spec.frozen.size, channels=channels))
        body, dim = whole.encoder, whole.feature_dim
    return FrozenNetwork(FrozenEncoder(body, spec.channels, channels, spec.frozen.size), dim, spec.classes)


def furnished(
    network: Network, spec: NetworkSpec, weights: Mapping[str, Tensor], mean: Sequence[float], std: Sequence[float]
) -> Network:
    """``network``, the backbone of ``spec``, with its body's ``weights``; images are normalised by ``mean``, ``std``.

    Raises:
        UsageError: if these are no weights of this body.
    """
    encoder, frozen = network.encoder, spec.frozen
    assert isinstance(encoder, FrozenEncoder) and frozen is not None
    encoder.body.load_state_dict(_of_body(encoder.body, weights, spec.name))
    data_mean, data_std, own_mean, own_std = (
        torch.tensor(values, dtype=torch.float64).expand(len(frozen.mean))
        for values in (mean, std, frozen.mean, frozen.std)
    )
    encoder.gain.copy_(data_std / own_std)
    encoder.offset.copy_((data_mean - own_mean) / own_std)
    return network


def _of_body(body: nn.Module, weights: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """All tensors of ``body`` among ``weights``, which may be those of a whole network: its classifier is left out."""
    own = body.state_dict()
    for prefix, instead in (("", ""), ("encoder.", ""), ("", "module.")):
        offered = {
            instead + key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)
        }
        counters = {key: value for key, value in own.items() if key.endswith("num_batches_tracked")}
        found = {key: value for key, value in (counters | offered).items() if key in own}
        if found.keys() == own.keys() and all(found[key].shape == own[key].shape for key in own):
            return found
    missing = next((key for key in own if key not in weights or weights[key].shape != own[key].shape), "")
    raise UsageError(
        f"--weights: these are no weights of {name}: it has {missing} of shape {tuple(own[missing].shape)}"
        if missing
        else f"--weights: these are no weights of {name}"
    )
