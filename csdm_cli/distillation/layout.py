"""The layout of the synthetic images: how many a class has, how they decode, and the chunks that bound memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from csdm_cli.networks.network import Network
from csdm_cli.parallel.class_shares import ClassShare, share_of
from csdm_cli.parallel.ranks import Ranks

# Bytes of activations per chunk. On a CPU chunks that fit the cache are the fastest.
MEMORY_BUDGET = {"cpu": 256 * 2**20, "cuda": 8 * 2**30}

# A CPU takes the classes in at least as many chunks, so that as many processes can share them and add the same numbers
# in the same order as one does. Measured on two cores, ConvNet-3, 10 classes of 32x32: nothing lost at IPC 10, nor at
# IPC 1 with K=1,024; a step of IPC 1 with K=4,096 takes 77 instead of 67 ms.
LEAST_CHUNKS = 4


def layout_of(
    formation: Formation, per_image: int, memory_budget: int | None, device: torch.device, *, coupled: bool = False
) -> Chunking:
    """Whole classes at a time, whatever the number of ranks; as many as fit where they are ``coupled``, not shared."""
    layout = chunking(formation, per_image, memory_budget or MEMORY_BUDGET[device.type])
    if device.type != "cpu" or coupled:
        return layout
    return replace(layout, classes=min(layout.classes, -(-formation.classes // LEAST_CHUNKS)))


def share_for(ranks: Ranks, formation: Formation, layout: Chunking, device: torch.device) -> ClassShare | None:
    """This rank's classes: whole chunks on a CPU, whose bits must not depend on the number of ranks."""
    if ranks.world == 1:
        return None
    unit = layout.classes if device.type == "cpu" else 1
    return share_of(ranks.rank, ranks.world, formation.classes, layout.classes, unit)


@dataclass(frozen=True)
class Formation:
    """How stored images become what a network sees.

    Attributes:
        classes, ipc: stored images are classes·ipc, class after class.
        factor: factor² decoded images per stored one.
        size: height and width of a decoded image.
        mean, std: normalisation per channel.
    """

    classes: int
    ipc: int
    factor: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def per_class(self) -> int:
        """Decoded images per class."""
        return self.ipc * self.factor**2

    @property
    def decoded(self) -> int:
        """All decoded images."""
        return self.classes * self.per_class


@dataclass(frozen=True)
class Chunking:
    """How many stored images pass through the network at once.

    Attributes:
        classes: whole classes per chunk.
        images: stored images per piece of a class, where one class is more than a chunk.
    """

    classes: int
    images: int


def chunking(formation: Formation, bytes_per_image: int, budget: int) -> Chunking:
    """The canonical layout under ``budget`` bytes of activations: a function of its arguments alone."""
    fitting = max(1, budget // (bytes_per_image * formation.factor**2))
    if fitting >= formation.ipc:
        return Chunking(classes=min(formation.classes, fitting // formation.ipc), images=formation.ipc)
    return Chunking(classes=1, images=fitting)


def activation_bytes(network: Network, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> int:
    """Bytes that autograd keeps per image of ``shape`` (C, H, W) between forward and backward."""
    seen: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    probe = torch.zeros(2, *shape, device=device, dtype=dtype, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        kept = network.features(probe)
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    total = sum(size for place, size in seen.items() if place not in own)
    return max(total, kept.nbytes) // 2
