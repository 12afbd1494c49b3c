"""R networks of one architecture as one network whose channels are R columns that never mix.

Convolutions become grouped ones, norms get R times the groups, and the classifiers become a batched product; every
other layer works channel by channel already. Each column computes what its own network computes, gradients and
running statistics included, and elementwise optimisers move it as they would move that network.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from csdm_cli.networks.network import Network
from csdm_cli.networks.resnet import BasicBlock

# Layers that can stand side by side, and which of their numbers grow with the columns. Others cannot be trusted to
# keep the columns apart (or, like dropout, draw random numbers for all of them from one source).
GROWING: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Conv2d: ("in_channels", "out_channels", "groups"),
    nn.GroupNorm: ("num_groups", "num_channels"),
    nn.BatchNorm2d: ("num_features",),
    nn.ReLU: (),
    nn.AvgPool2d: (),
    nn.MaxPool2d: (),
    nn.AdaptiveAvgPool2d: (),
    nn.Identity: (),
}
CONTAINERS = (nn.Sequential, BasicBlock)  # they only pass maps on, or add them


class Classifiers(nn.Module):
    """R linear classifiers, each on its own part of the features.

    Args:
        each: classifiers of one shape.
    """

    def __init__(self, each: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.columns = len(each)
        self.in_features = len(each) * each[0].in_features
        self.out_features = each[0].out_features
        self.weight = _joined([linear.weight for linear in each])  # (R · classes, D)
        self.bias = _joined([linear.bias for linear in each])  # (R · classes,)

    def forward(self, features: Tensor) -> Tensor:
        """Logits: (N, R · D) -> (N, R, classes)."""
        columns = features.unflatten(1, (self.columns, -1)).transpose(0, 1)  # (R, N, D)
        weights = self.weight.unflatten(0, (self.columns, -1))  # (R, classes, D)
        biases = self.bias.view(self.columns, 1, -1)
        return torch.baddbmm(biases, columns, weights.mT).transpose(0, 1)


def can_stand_side_by_side(network: Network) -> bool:
    """Whether all layers are known to keep columns apart."""
    return _known(network.encoder)


def side_by_side(networks: Sequence[Network]) -> Network:
    """One network that takes (N, R · channels, H, W) and gives (N, R, classes), with copies of all weights.

    Args:
        networks: R of one architecture that :func:`can_stand_side_by_side`, on one device.
    """
    assert networks and all(can_stand_side_by_side(network) for network in networks)
    wide = copy.deepcopy(networks[0])
    for name, layer in wide.encoder.named_modules():
        if type(layer) in GROWING:
            _widen(layer, [network.encoder.get_submodule(name) for network in networks])
    classifiers = Classifiers([network.classifier for network in networks])
    wide.classifier = cast(nn.Linear, classifiers)  # it offers what is used of a linear layer: shape and weights
    return wide


def apart(state: Mapping[str, Tensor], columns: int) -> list[dict[str, Tensor]]:
    """The state dict of each network, as views of a state dict of all."""
    parts = {name: value.chunk(columns) if value.ndim else [value] * columns for name, value in state.items()}
    return [{name: part[column] for name, part in parts.items()} for column in range(columns)]


def joined(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The inverse of :func:`apart`; what has no columns is the first state's."""
    return {
        name: torch.cat([state[name] for state in states]) if value.ndim else value for name, value in states[0].items()
    }


def _known(layer: nn.Module) -> bool:
    if type(layer) in CONTAINERS:
        return all(_known(child) for child in layer.children())
    return type(layer) in GROWING


def _widen(layer: nn.Module, each: Sequence[nn.Module]) -> None:
    """Make ``layer`` do the work of ``each`` of R layers of its own kind."""
    for name in GROWING[type(layer)]:
        setattr(layer, name, len(each) * getattr(layer, name))
    for name, _ in list(layer.named_parameters(recurse=False)):
        setattr(layer, name, _joined([cast(Tensor, getattr(one, name)) for one in each]))
    for name, buffer in list(layer.named_buffers(recurse=False)):
        if buffer.ndim:  # the others count steps, which all have done alike
            setattr(layer, name, torch.cat([cast(Tensor, getattr(one, name)) for one in each]))


def _joined(each: Sequence[Tensor]) -> nn.Parameter:
    return nn.Parameter(torch.cat([one.detach() for one in each]))
