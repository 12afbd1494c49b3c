"""Arrays out of files that other tools wrote; plain data only, never pickled code.

Read are ``.npz`` and ``.npy``, and ``.pt`` or ``.pth`` holding
- one tensor (MTT, DATM, LTDD: ``images_best.pt`` and ``labels_best.pt``),
- a dict with ``images`` and perhaps ``labels`` and ``soft_labels`` (csdm's own export),
- a dict with ``data``: a list of [images, labels] pairs, one per experiment (DC, DSA, DM); the first is taken,
- a list [images, labels] (IDC, NCFM).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.storage.plain_numpy import load_array, load_arrays

NUMPY_SUFFIXES = (".npz", ".npy")
TORCH_SUFFIXES = (".pt", ".pth")


@dataclass(frozen=True)
class ForeignSet:
    """What a file held, as found; None where it held no such thing."""

    images: Tensor | None
    labels: Tensor | None = None
    soft_labels: Tensor | None = None


def read_foreign(path: Path) -> ForeignSet:
    """Read images, and labels if they are in the same file.

    Raises:
        UsageError: if the file's ending is none of those known.
        CsdmError: if it is missing, damaged, holds more than plain arrays, or none called images.
    """
    content = _load(path)
    if isinstance(content, Tensor):
        return ForeignSet(content)
    if isinstance(content, Mapping):
        if "images" in content:
            return ForeignSet(
                _tensor(content["images"], path, "images"),
                _tensor(content["labels"], path, "labels") if "labels" in content else None,
                _tensor(content["soft_labels"], path, "soft_labels") if "soft_labels" in content else None,
            )
        if len(content) == 1 and "data" not in content:
            return ForeignSet(_tensor(next(iter(content.values())), path, "images"))
        data = content.get("data")
        if isinstance(data, list) and data:
            return _pair(data[0], path)
        if isinstance(data, Tensor) and data.ndim == 4:
            return ForeignSet(data)
        raise CsdmError(f"{path} holds {_names(content)} (expected images and labels, or one array)")
    return _pair(content, path)


def read_labels(path: Path) -> ForeignSet:
    """Read labels alone: one array, or those called ``labels`` and ``soft_labels``.

    Raises:
        UsageError, CsdmError: as :func:`read_foreign`.
    """
    content = _load(path)
    if isinstance(content, Tensor):
        return ForeignSet(None, content)
    if isinstance(content, Mapping):
        found = {name: _tensor(content[name], path, name) for name in ("labels", "soft_labels") if name in content}
        if found:
            return ForeignSet(None, found.get("labels"), found.get("soft_labels"))
        if len(content) == 1:
            return ForeignSet(None, _tensor(next(iter(content.values())), path, "labels"))
        raise CsdmError(f"{path} holds {_names(content)} (expected labels or soft_labels, or one array)")
    if isinstance(content, list | tuple) and content and all(isinstance(item, int) for item in content):
        return ForeignSet(None, torch.tensor(content))
    raise CsdmError(f"{path} holds a {type(content).__name__} (expected an array of labels)")


def _load(path: Path) -> Any:
    if path.suffix not in NUMPY_SUFFIXES + TORCH_SUFFIXES:
        raise UsageError(f"{path}: expected a file ending in {', '.join(NUMPY_SUFFIXES + TORCH_SUFFIXES)}")
    if not path.is_file():
        raise CsdmError(f"{path} is not a file" if path.exists() else f"{path} does not exist")
    return _load_numpy(path) if path.suffix in NUMPY_SUFFIXES else _load_torch(path)


def _load_numpy(path: Path) -> Any:
    try:
        if path.suffix == ".npy":
            return torch.from_numpy(load_array(path))
        arrays = load_arrays(path)
        return {name: torch.from_numpy(array) for name, array in arrays.items() if array.dtype.kind in "biuf"}
    except TypeError as error:  # of texts, or of more bits than torch has
        raise CsdmError(f"{path} holds values that are no numbers of up to 64 bits") from error


def _load_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises almost anything on damaged bytes
        raise CsdmError(f"{path} is damaged or holds more than plain tensors (pickled code is not loaded)") from error


def _pair(content: Any, path: Path) -> ForeignSet:
    if not isinstance(content, list | tuple) or len(content) != 2:
        raise CsdmError(f"{path} holds a {type(content).__name__} that is not [images, labels]")
    return ForeignSet(_tensor(content[0], path, "images"), _tensor(content[1], path, "labels"))


def _tensor(value: Any, path: Path, name: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise CsdmError(f"{path}: {name} is a {type(value).__name__} (expected an array)")
    return value.detach()


def _names(content: Mapping[Any, Any]) -> str:
    return ", ".join(map(str, content)) or "nothing"
