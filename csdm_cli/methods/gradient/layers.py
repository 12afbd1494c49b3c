"""The outputs of a network's layers for images, and the means of classes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from csdm_cli.networks.network import Network


@contextmanager
def _collecting(network: Network) -> Iterator[list[Tensor]]:
    """Within the block, the outputs of every ReLU of the encoder and of the encoder, in the order of computation."""
    seen: list[Tensor] = []

    def keep(_module: nn.Module, _given: object, found: Tensor) -> None:
        seen.append(found)

    watched = [module for module in network.encoder.modules() if isinstance(module, nn.ReLU)] + [network.encoder]
    handles = [module.register_forward_hook(keep) for module in watched]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def activations(network: Network, images: Tensor) -> list[Tensor]:
    """Outputs for images (n, channels, H, W): every ReLU's output before pooling, then the encoder's, each (n, …)."""
    with _collecting(network) as seen:
        network.features(images)
    return seen


def class_means(network: Network, images: Tensor, at_once: int) -> tuple[list[Tensor], Tensor]:
    """Without a graph: the mean over images of each of the :func:`activations`, and the last of them, (n, …)."""
    sums, outputs = [], []
    with torch.no_grad():
        for piece in images.split(at_once):
            layers = activations(network, piece)
            sums.append([layer.sum(0) for layer in layers])
            outputs.append(layers[-1])
        means = [torch.stack(layer).sum(0) / len(images) for layer in zip(*sums, strict=True)]
        return means, torch.cat(outputs)
