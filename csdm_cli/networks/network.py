"""The interface of every network, and the registry that architectures enter by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from csdm_cli.networks.spec import NetworkSpec


class Network(nn.Module):
    """The interface of all networks: an encoder, and a linear classifier on its flattened output.

    A class and no protocol, for training, hooks and compilation want a module. It has no constructor of its own:
    :class:`EncoderNetwork` is a network with weights, others compute with the weights of another.

    Attributes:
        encoder: maps (N, channels, size, size) to (N, D) or to maps that flatten to it.
        classifier: linear map of features: (N, D) to (N, classes).
        at_least_on_cpu: images to compute together on a CPU, however large they are.
        blocks: equally many layers each, that the encoder is a sequence of; 0 if it is none.
    """

    at_least_on_cpu: int = 4
    blocks: int = 0
    encoder: nn.Module
    classifier: nn.Linear

    def features(self, images: Tensor) -> Tensor:
        """The classifier's input: (N, channels, size, size) -> (N, D)."""
        return flattened(self.encoder(images))

    def forward(self, images: Tensor) -> Tensor:
        """Logits: (N, channels, size, size) -> (N, classes)."""
        logits: Tensor = self.classifier(self.features(images))
        return logits

    @property
    def feature_dim(self) -> int:
        """D, the length of a feature vector."""
        return self.classifier.in_features

    @property
    def couples_samples(self) -> bool:
        """Whether training mode lets the images of a batch influence each other (any batch normalisation)."""
        return any(isinstance(module, _BatchNorm) for module in self.modules())


class EncoderNetwork(Network):
    """A network with weights of its own.

    Args:
        encoder: maps (N, channels, size, size) to (N, D) or to maps that flatten to it.
        feature_dim: D.
        classes: logits.
        blocks: equally many layers each, that the encoder is a sequence of; 0 if it is none.
    """

    def __init__(self, encoder: nn.Module, feature_dim: int, classes: int, blocks: int = 0) -> None:
        super().__init__()
        self.encoder, self.blocks = encoder, blocks
        self.classifier = nn.Linear(feature_dim, classes)


def flattened(maps: Tensor) -> Tensor:
    """One row per image, channel after channel: (N, …) -> (N, D)."""
    if torch.compiler.is_compiling():
        # Tracing turns flatten into a view, by the order in memory it believes the maps to have. For a group norm
        # of channels-last maps torch 2.14 believes a wrong one; a copy has the order that it is said to have.
        maps = maps.clone(memory_format=torch.contiguous_format)
    return maps.flatten(1)


Builder = Callable[[NetworkSpec], Network]
NETWORKS: dict[str, Builder] = {}


def network(name: str) -> Callable[[Builder], Builder]:
    """Enter an architecture into the registry under ``name``."""

    def add(builder: Builder) -> Builder:
        if name in NETWORKS:
            raise ValueError(f"network {name!r} registered twice")
        NETWORKS[name] = builder
        return builder

    return add
