"""The networks that matching looks through: their interface, and networks that take on teachers' weights in turn."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from csdm_cli.networks import NetworkSpec
from csdm_cli.networks.network import Network
from csdm_cli.networks.numerics import PLAIN, Numerics, TunedNetwork, features_by
from csdm_cli.storage.lru import LruCache
from csdm_cli.teachers.pool import Stage, TeacherPool
from csdm_cli.training.inference import filled

# A teacher and which of its weights.
TeacherStage = tuple[int, Stage]

# Bytes of weights kept on the device: a pool's views come again and again.
WEIGHTS = 256 * 2**20

# Networks kept: a step looks through one stage, may read logits of another, and calibrates with the trained weights.
KEPT = 3

# Bytes of networks kept on a GPU, where a recorded step reads the weights from where they were (see ``replay``).
GPU_NETWORKS = 2**30


class TeacherNetworks(Protocol):
    """Networks of one architecture, by teacher and stage of its training.

    Attributes:
        channels: number of channels of the maps that features are flattened from.
    """

    channels: int

    def __len__(self) -> int:
        """How many teachers there are."""
        ...

    def at(self, teacher: int, stage: Stage) -> Network:
        """The network of ``teacher`` at ``stage``, in evaluation mode; valid until others are asked for."""
        ...

    def final(self, teacher: int) -> Network:
        """The network with the trained weights of ``teacher``."""
        return self.at(teacher, "final")


class PoolNetworks(TeacherNetworks):
    """Frozen networks on the device that take on a teacher's weights by copying them in.

    The modules and their parameters stay the same objects from step to step, and none of them asks for a
    gradient: a backward pass reaches the images only. The ``KEPT`` stages used last keep their weights; on a GPU as
    many as ``GPU_NETWORKS`` has room for.
    """

    def __init__(
        self,
        pool: TeacherPool,
        device: torch.device,
        dtype: torch.dtype,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        self._pool, self._device, self._dtype, self._format = pool, device, dtype, memory_format
        self._networks: OrderedDict[TeacherStage, Network] = OrderedDict()
        self._kept = LruCache[dict[str, Tensor]](WEIGHTS)
        self.channels = map_channels(self.final(0), pool.spec)

    def __len__(self) -> int:
        return len(self._pool)

    def at(self, teacher: int, stage: Stage) -> Network:
        """The network with the weights of ``teacher`` at ``stage`` of its training."""
        key = (teacher, stage)
        if key not in self._networks:
            kept = len(self._networks)
            network = self._module() if kept < self._most() else self._networks.popitem(last=False)[1]
            network.load_state_dict(self._weights(key))
            self._networks[key] = network
        self._networks.move_to_end(key)
        return self._networks[key]

    def _most(self) -> int:
        """How many networks there may be."""
        if self._device.type != "cuda" or not self._networks:
            return KEPT
        example = next(iter(self._networks.values()))
        own: int = sum(value.nbytes for value in example.state_dict().values())
        return max(KEPT, GPU_NETWORKS // own)

    def _weights(self, key: TeacherStage) -> dict[str, Tensor]:
        def read() -> dict[str, Tensor]:
            return {name: value.to(self._device) for name, value in self._pool.weights(*key).items()}

        return self._kept.get(key, read, lambda weights: sum(value.nbytes for value in weights.values()))

    def _module(self) -> Network:
        network = self._pool.network(0).eval().requires_grad_(False)
        return network.to(self._device, self._dtype).to(memory_format=self._format)


@torch.no_grad()
def map_channels(network: Network, spec: NetworkSpec) -> int:
    """Channels of the maps that the features of ``network``, of architecture ``spec``, are flattened from."""
    blank = torch.zeros(1, spec.channels, spec.size, spec.size).to(network.classifier.weight)
    return int(network.encoder(blank).shape[1])


class WrappedTeacherNetworks(TeacherNetworks):
    """Others' networks, each in another one that ``wrap`` makes of it once."""

    def __init__(self, shared: TeacherNetworks, wrap: Callable[[Network], Network]) -> None:
        self._shared, self.channels, self._wrap = shared, shared.channels, wrap
        self._wrapped: dict[Network, Network] = {}

    def __len__(self) -> int:
        return len(self._shared)

    def at(self, teacher: int, stage: Stage) -> Network:
        """The network made of the one that the others give."""
        network = self._shared.at(teacher, stage)
        if network not in self._wrapped:
            self._wrapped[network] = self._wrap(network)
        return self._wrapped[network]


class TunedTeacherNetworks(TeacherNetworks):
    """Others' networks, each as a :class:`TunedNetwork`."""

    def __init__(self, shared: TeacherNetworks, features: Callable[[Network, Tensor], Tensor]) -> None:
        self._shared, self.channels = shared, shared.channels
        self._features = features

    def __len__(self) -> int:
        return len(self._shared)

    def at(self, teacher: int, stage: Stage) -> Network:
        """The network that the others give, computing so."""
        return TunedNetwork(self._shared.at(teacher, stage), self._features)


def tuned(networks: TeacherNetworks, numerics: Numerics) -> TeacherNetworks:
    """``networks`` computing so."""
    return networks if numerics == PLAIN else TunedTeacherNetworks(networks, features_by(numerics))


def tuned_for_any_number(networks: TeacherNetworks, numerics: Numerics) -> TeacherNetworks:
    """As :func:`tuned`, for as many images as there happen to be: one program serves all of them."""
    if not numerics.compiled:
        return tuned(networks, numerics)
    return TunedTeacherNetworks(networks, filled(features_by(numerics)))
