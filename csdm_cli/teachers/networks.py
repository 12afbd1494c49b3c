"""Networks that take on the weights of one teacher after another."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

from csdm_cli.networks.network import Network
from csdm_cli.networks.numerics import PLAIN, Numerics, TunedNetwork, features_by
from csdm_cli.storage.lru import Recent
from csdm_cli.teachers.pool import Stage, TeacherPool
from csdm_cli.training.inference import filled

# A teacher and which of its weights.
TeacherStage = tuple[int, Stage]

# Bytes of weights kept on the device: a pool's views come again and again.
WEIGHTS = 256 * 2**20

# Networks kept: a step looks through one place, may judge through another, and calibrates with the trained weights.
KEPT = 3


class TeacherNetworks:
    """Frozen networks on the device that take on a teacher's weights by copying them in.

    The modules and their parameters stay the same objects from step to step, and none of them asks for a
    gradient: a backward pass reaches the images only. The ``KEPT`` places used last keep their weights.
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
        self._kept = Recent[dict[str, Tensor]](WEIGHTS)
        self.channels = self._map_channels()

    def __len__(self) -> int:
        return len(self._pool)

    def at(self, teacher: int, point: Stage) -> Network:
        """The network with the weights of ``teacher`` at ``point`` of its schedule."""
        place = (teacher, point)
        if place not in self._networks:
            network = self._module() if len(self._networks) < KEPT else self._networks.popitem(last=False)[1]
            network.load_state_dict(self._weights(place))
            self._networks[place] = network
        self._networks.move_to_end(place)
        return self._networks[place]

    def final(self, teacher: int) -> Network:
        """The network with the trained weights of ``teacher``."""
        return self.at(teacher, "final")

    def _weights(self, place: TeacherStage) -> dict[str, Tensor]:
        def read() -> dict[str, Tensor]:
            return {name: value.to(self._device) for name, value in self._pool.weights(*place).items()}

        return self._kept.get(place, read, lambda weights: sum(value.nbytes for value in weights.values()))

    def _module(self) -> Network:
        network = self._pool.network(0).eval().requires_grad_(False)
        return network.to(self._device, self._dtype).to(memory_format=self._format)

    @torch.no_grad()
    def _map_channels(self) -> int:
        """Channels of the maps that features are flattened from."""
        spec = self._pool.spec
        network = self.final(0)
        return int(
            network.encoder(torch.zeros(1, spec.channels, spec.size, spec.size).to(network.classifier.weight)).shape[1]
        )


class TunedTeacherNetworks(TeacherNetworks):
    """The networks of another lens, each as a :class:`TunedNetwork`."""

    def __init__(self, shared: TeacherNetworks, features: Callable[[Network, Tensor], Tensor]) -> None:
        self._shared, self.channels = shared, shared.channels
        self._features = features

    def __len__(self) -> int:
        return len(self._shared)

    def at(self, teacher: int, point: Stage) -> Network:
        """The network that the other lens gives, computing so."""
        return TunedNetwork(self._shared.at(teacher, point), self._features)


def tuned(lens: TeacherNetworks, numerics: Numerics) -> TeacherNetworks:
    """``lens`` with its networks computing so."""
    return lens if numerics == PLAIN else TunedTeacherNetworks(lens, features_by(numerics))


def tuned_for_any_number(lens: TeacherNetworks, numerics: Numerics) -> TeacherNetworks:
    """As :func:`tuned`, for as many images as there happen to be: one program serves all of them."""
    return TunedTeacherNetworks(lens, filled(features_by(numerics))) if numerics.compiled else tuned(lens, numerics)
