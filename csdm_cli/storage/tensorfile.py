"""Safetensors files with one JSON header, a hash of every tensor and one of the header: equal contents, equal bytes.

Files of earlier releases have no hash of their header. They are read where something else vouches for the header
(a distilled set's own hash of its body, a pool's index, a manifest's fingerprints); in a cache, whatever has none
counts as damaged and is made anew.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csdm_cli.errors import CsdmError
from csdm_cli.storage import atomic, seal
from csdm_cli.storage.bounded import parsed_json

if TYPE_CHECKING:
    import torch

# One key only: the safetensors writer orders several metadata keys at random.
HEADER_KEY = "csdm"
SEAL = "header_sha256"


def tensor_sha256(tensor: torch.Tensor) -> str:
    """Hash of a tensor's dtype, shape and bytes, wherever it lives."""
    import torch

    tensor = tensor.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    if tensor.numel():
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save(path: Path, tensors: dict[str, torch.Tensor], header: dict[str, Any]) -> None:
    """Write ``tensors`` and ``header`` (JSON values) atomically.

    The tensors' hashes go into ``header["sha256"]``, the header's own into ``header["header_sha256"]``.
    """
    from safetensors.torch import save as to_bytes

    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    header = header | {"sha256": {name: tensor_sha256(tensor) for name, tensor in own.items()}}
    text = json.dumps(seal.sealed(header, SEAL), sort_keys=True, allow_nan=False)
    atomic.write_bytes(path, to_bytes(own, metadata={HEADER_KEY: text}))


def read_header(path: Path, *, sealed: bool = True) -> dict[str, Any]:
    """The JSON header alone, without reading any tensor, compared with its hash.

    Args:
        path: the file.
        sealed: whether a header without a hash is refused; whoever takes one vouches for it in another way.

    Raises:
        CsdmError: if ``path`` is missing, no safetensors file or not written by csdm, or its header was altered.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
        header = parsed_json(metadata[HEADER_KEY])
    except FileNotFoundError:
        raise CsdmError(f"{path} does not exist") from None
    except OSError as error:
        raise CsdmError(f"cannot read {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise CsdmError(f"{path} is damaged or not a safetensors file ({_one_line(error)})") from error
    except (KeyError, ValueError):
        raise CsdmError(f"{path} is a safetensors file, but csdm did not write it") from None
    if not isinstance(header, dict) or not isinstance(header.get("sha256"), dict):
        raise CsdmError(f"{path} is a safetensors file, but csdm did not write it")
    if (sealed or SEAL in header) and not seal.is_whole(header, SEAL):
        raise CsdmError(f"{path} is damaged: its header does not match its hash")
    return header


def load(
    path: Path, *, verify: bool = True, prefix: str = "", sealed: bool = True
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read tensors (on the CPU) and header; with ``verify``, compare every tensor with its hash.

    Only tensors whose names begin with ``prefix`` are read; ``sealed`` as for :func:`read_header`.

    Raises:
        CsdmError: as :func:`read_header`, and when a tensor is missing or its bytes were altered.
    """
    from safetensors import SafetensorError, safe_open

    header = read_header(path, sealed=sealed)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys()) if name.startswith(prefix)}
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise CsdmError(f"{path} is damaged ({_one_line(error)})") from error
    if verify:
        hashes = {name: value for name, value in header["sha256"].items() if name.startswith(prefix)}
        for name in sorted(hashes.keys() | tensors.keys()):
            if name not in tensors:
                raise CsdmError(f"{path} is damaged: {name!r} is missing")
            if hashes.get(name) != tensor_sha256(tensors[name]):
                raise CsdmError(f"{path} is damaged: the bytes of {name!r} do not match their hash")
    return tensors, header


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
