"""Networks by name. Every one offers ``features``, ``classifier`` and ``forward``.

``spec`` (every choice that fixes an architecture), ``network`` (the interface and the registry), ``layers``,
``numerics`` (precision, order of memory, compilation); then one file per architecture: ``convnet``, ``alexnet``,
``vgg``, ``resnet``, ``torchvision_models``; and ``own``, a network of the user's own.
"""

from __future__ import annotations

import torch

# imported for what they register
from csdm_cli.networks import alexnet as _alexnet  # noqa: F401
from csdm_cli.networks import convnet as _convnet  # noqa: F401
from csdm_cli.networks import resnet as _resnet  # noqa: F401
from csdm_cli.networks import vgg as _vgg  # noqa: F401
from csdm_cli.networks.network import NETWORKS, Network, network
from csdm_cli.networks.own import is_own, own_network
from csdm_cli.networks.spec import NetworkSpec, default_depth
from csdm_cli.networks.torchvision_models import torchvision_network

__all__ = ["NETWORKS", "Network", "NetworkSpec", "build", "default_depth", "network"]


def build(spec: NetworkSpec, seed: int) -> Network:
    """A network of this architecture on the CPU, in training mode, initialised from ``seed`` alone.

    The global random state is left as it was (initialisers of torch know no other source).

    Raises:
        UsageError: unknown name, or an architecture that cannot take these images.
    """
    builder = own_network if is_own(spec.name) else NETWORKS.get(spec.name, torchvision_network)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed CUDA too
        return builder(spec)
