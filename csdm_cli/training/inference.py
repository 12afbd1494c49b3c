"""A network's logits and features of many images, and how many images to push through it at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from csdm_cli.images.normalisation import normalise
from csdm_cli.networks.network import Network

# On a CPU the activations of 16 images of 32x32 stay in its cache: measured twice as fast as 128 images at a time
# (ConvNet-3 of width 64 and 128 on two cores, forward alone and with backward), and no slower than 8.
CPU_PIXELS = 16 * 32 * 32
CUDA_PIXELS = 1024 * 32 * 32
# Of second derivatives: at 32x32, 8 to 16 images were fastest at width 128, and 34 to 50 at width 32 (ConvNet-3).
CPU_OUTPUTS = 24 * 2**20


def images_at_once(images: Tensor, network: type[Network] | Network = Network) -> int:
    """The number of ``images`` (N, C, H, W) for ``network`` to compute together on their device.

    A function of the device's kind, the image size and the kind of network alone, so that equal runs round alike.
    """
    side = images.shape[2] * images.shape[3]
    if images.device.type == "cpu":
        return max(network.at_least_on_cpu, CPU_PIXELS // side)
    return max(1, CUDA_PIXELS // side)


def differentiated_at_once(network: Network, images: Tensor) -> int:
    """The number of ``images`` (N, C, H, W) whose second derivatives to compute together on their device.

    On a CPU as many as have outputs of ``CPU_OUTPUTS`` bytes, in every layer of ``network`` together: a function of the
    architecture, the image size and the device's kind alone, so that equal runs round alike.
    """
    if images.device.type != "cpu":
        return images_at_once(images, network)
    return max(network.at_least_on_cpu, CPU_OUTPUTS // output_bytes(network, (1, *images.shape[1:])))


def output_bytes(network: Network, shape: Sequence[int]) -> int:
    """The bytes of every layer's output for a batch of (n, C, H, W); ``network`` is on any device, and is not run."""
    sketch = copy.deepcopy(network).to("meta")  # computes shapes alone
    outputs: list[int] = []
    for layer in sketch.modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda layer, inputs, output: outputs.append(output.nbytes))
    sketch(torch.empty(tuple(shape), device="meta", dtype=sketch.classifier.weight.dtype))
    return sum(outputs)


def filled(features: Callable[[Network, Tensor], Tensor]) -> Callable[[Network, Tensor], Tensor]:
    """``features`` of images filled up to as many as are computed at once, without those of what was filled in."""

    def run(network: Network, images: Tensor) -> Tensor:
        missing = images_at_once(images, network) - len(images)
        assert missing >= 0, "images go through a network in pieces"
        return features(network, F.pad(images, (0, 0, 0, 0, 0, 0, 0, missing)))[: len(images)]

    return run


@torch.no_grad()
def features_of(network: Network, images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Features (N, D) of ``images`` as they are, in the network's present mode; arguments as of :func:`predict`."""
    dtype = network.classifier.weight.dtype
    parts = images.split(images_at_once(images, network))
    return torch.cat([network.features(normalise(part, mean, std).to(dtype)) for part in parts])


@torch.no_grad()
def predict(network: Network, images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Logits in evaluation mode; the network's own mode is put back afterwards.

    Args:
        network: on the images' device.
        images: (N, C, H, W) uint8, or floats in [0, 1].
        mean, std: the normalisation that the network expects.

    Returns:
        (N, classes).
    """
    dtype = network.classifier.weight.dtype
    training = network.training
    network.eval()
    try:
        parts = torch.split(images, images_at_once(images, network))
        return torch.cat([network(normalise(part, mean, std).to(dtype)) for part in parts])
    finally:
        network.train(training)
