"""Weights that others trained: from a file, or those that a network comes with.

Files are read without running any code of theirs: safetensors, or a state dict that torch reads with ``weights_only``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from csdm_cli.errors import CsdmError, UsageError, reason_of
from csdm_cli.names import BackboneName
from csdm_cli.networks import efficientnet
from csdm_cli.networks.network import NETWORKS
from csdm_cli.networks.own import is_own
from csdm_cli.networks.torchvision_models import PREFIX
from csdm_cli.storage.keys import content_key
from csdm_cli.storage.places import from_home
from csdm_cli.storage.tensorfile import tensor_sha256

DEFAULT = "default"  # in the place of a file: the weights that a network comes with
INSTEAD = "give their file with --weights FILE, or use --network patch-kmeans, which needs none"


@dataclass(frozen=True)
class Weights:
    """A network's weights, and where they are from.

    Attributes:
        tensors: a state dict.
        origin: in words.
    """

    tensors: Mapping[str, Tensor]
    origin: str

    @property
    def digest(self) -> str:
        """Hash of all names and values."""
        return content_key({name: tensor_sha256(value) for name, value in self.tensors.items()})


@dataclass(frozen=True)
class Input:
    """The images that a network wants: side in pixels, and the normalisation of pixels in [0, 1] per channel."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def weights_of(network: str, given: str) -> Weights:
    """The weights of ``network`` from the file ``given``, or those it comes with, for ``default``.

    Raises:
        UsageError: if it comes with none, or the file holds none.
        CsdmError: if they cannot be read or downloaded.
    """
    if given != DEFAULT:
        path = from_home(given)
        return Weights(read(path), f"the file {path.name}")
    if network == BackboneName.efficientnet_lite0:
        return Weights(efficientnet.packaged_weights(), efficientnet.ORIGIN)
    if network in NETWORKS or is_own(network):
        raise UsageError(f"--weights default: {network} comes with no weights: {INSTEAD}")
    return _downloaded(network.removeprefix(PREFIX))


def input_of(network: str) -> Input | None:
    """The images that a network with weights of its own wants; None of those that take the dataset's own."""
    if network == BackboneName.efficientnet_lite0:
        return Input(efficientnet.SIZE, efficientnet.MEAN, efficientnet.STD)
    if network in NETWORKS or is_own(network):
        return None
    wanted = _of_torchvision(network.removeprefix(PREFIX)).transforms()
    return Input(int(wanted.crop_size[0]), tuple(wanted.mean), tuple(wanted.std))


def read(path: Path) -> dict[str, Tensor]:
    """The tensors in a file, by name.

    Raises:
        CsdmError: if it cannot be read.
        UsageError: if it holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CsdmError(f"--weights {path}: there is no such file") from None
    except Exception as error:  # of the pickle and of either library, which tell of a damaged file in many ways
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, UnpicklingError):  # torch's own words advise to run what is in it
            reason = "it is damaged, or holds more than tensors"
        raise CsdmError(
            f"--weights {path}: cannot be read as safetensors or as a state dict without code ({reason})"
        ) from None
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise UsageError(f"--weights {path}: holds no state dict, which is tensors by name")
    return {str(name): value for name, value in found.items()}


def _of_torchvision(name: str) -> Any:
    import torchvision

    try:
        return torchvision.models.get_model_weights(name).DEFAULT
    except (ValueError, AttributeError):
        raise UsageError(f"unknown network {name!r}, or torchvision has no weights of it: {INSTEAD}") from None


def _downloaded(name: str) -> Weights:
    weights = _of_torchvision(name)
    try:
        tensors = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        reason = reason_of(error)
        raise CsdmError(f"cannot download torchvision's weights of {name} ({reason}): {INSTEAD}") from None
    return Weights(tensors, f"torchvision's {weights.name}, supervised on ImageNet")
