"""Students, and teachers in training, that compute as some :class:`~csdm_cli.networks.numerics.Numerics` say.

They are always tested in float32.

One program serves all students of an architecture, whatever they learn from: their weights are its inputs, and it is
made once in a process for each number of images it is given. A compiled step is that of a plain one up to rounding
(dropout apart, whose masks a program draws in another order); as training amplifies rounding, a compiled student's
accuracy is another draw of the same spread, not the same number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from csdm_cli.names import Precision
from csdm_cli.networks import NetworkSpec
from csdm_cli.networks.network import Network
from csdm_cli.networks.numerics import PLAIN, Numerics, TunedNetwork, features_by
from csdm_cli.training.inference import filled

Features = Callable[[Network, Tensor], Tensor]


def in_training(network: Network, spec: NetworkSpec, numerics: Numerics) -> Network:
    """The network to train in the place of ``network``, whose weights it has: itself, if ``numerics`` are plain.

    Args:
        network: network of ``spec``, on any device; its weights are put into the order of memory asked for.
        spec: its architecture.
        numerics: how it is to compute.
    """
    if numerics == PLAIN:
        return network
    network.to(memory_format=numerics.memory_format)

    def features(own: Network, images: Tensor) -> Tensor:
        return program(numerics, spec, len(images), images.dtype, images.device)(own, images)

    return TunedNetwork(network, features)


def in_test(network: Network, spec: NetworkSpec, numerics: Numerics) -> Network:
    """The network to test in the place of ``network``: compiled where it was in training, and in float32.

    A last batch of fewer images is filled up to the size of the others, so that one program serves all.
    """
    if not numerics.compiled:
        return network
    exact = replace(numerics, precision=Precision.fp32)

    def features(own: Network, images: Tensor) -> Tensor:
        return program(exact, spec, len(images), images.dtype, images.device)(own, images)

    return TunedNetwork(network, filled(features))


def identity(numerics: Numerics) -> dict[str, Any]:
    """The numerics that a result depends on, as JSON values; nothing for plain ones."""
    return {} if numerics == PLAIN else {"numerics": numerics.as_dict()}


@cache
def program(numerics: Numerics, spec: NetworkSpec, count: int, dtype: torch.dtype, device: torch.device) -> Features:
    """The one for ``count`` images: torch limits the programs of a function, so that each has a function of its own."""
    return features_by(numerics)
