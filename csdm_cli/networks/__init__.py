"""Networks by name. Every one offers ``features``, ``classifier`` and ``forward``.

``spec`` (every choice that fixes an architecture), ``network`` (the interface and the registry), ``layers``,
``numerics`` (precision, order of memory, compilation), ``instance_block`` (norm, ReLU and pooling as one), ``blocks``
(an earlier block's features beside a network's own); then one file per architecture: ``convnet``, ``alexnet``, ``vgg``,
``resnet``, ``efficientnet``, ``torchvision_models``; and ``own``, a network of the user's own. Networks that are never
trained: ``frozen`` (how any network becomes one), ``patch_kmeans`` (fitted to patches of the images), ``weights`` (of
others, from a file or as they come).
"""

from __future__ import annotations

import torch

from csdm_cli.names import BackboneName

# imported for what they register
from csdm_cli.networks import alexnet as _alexnet  # noqa: F401
from csdm_cli.networks import convnet as _convnet  # noqa: F401
from csdm_cli.networks import resnet as _resnet  # noqa: F401
from csdm_cli.networks import vgg as _vgg  # noqa: F401
from csdm_cli.networks.efficientnet import efficientnet_lite0
from csdm_cli.networks.frozen import frozen_network
from csdm_cli.networks.network import NETWORKS, Network, network
from csdm_cli.networks.own import is_own, own_network
from csdm_cli.networks.spec import Frozen, NetworkSpec, default_depth
from csdm_cli.networks.torchvision_models import torchvision_network

__all__ = ["NETWORKS", "Frozen", "Network", "NetworkSpec", "build", "default_depth", "network"]


def build(spec: NetworkSpec, seed: int) -> Network:
    """A network of this architecture on the CPU, in training mode, initialised from ``seed`` alone.

    The global random state is left as it was (initialisers of torch know no other source).

    Raises:
        UsageError: unknown name, or an architecture that cannot take these images.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed CUDA too
        return frozen_network(spec, _body) if spec.frozen else _trainable(spec)


def _body(spec: NetworkSpec) -> Network:
    return efficientnet_lite0(spec) if spec.name == BackboneName.efficientnet_lite0 else _trainable(spec)


def _trainable(spec: NetworkSpec) -> Network:
    builder = own_network if is_own(spec.name) else NETWORKS.get(spec.name, torchvision_network)
    return builder(spec)
