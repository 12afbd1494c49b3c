"""Reading ``.pt`` and ``.pth`` files without running anything that is in them.

torch's restricted unpickler builds tensors and calls only what it is allowed to. Results of DC, DSA, DM and others
hold accuracies as numpy scalars, whose pickles name functions of numpy. What is called in their place are the few
functions below, which take plain numbers alone: numpy's own unpickling is never reached.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from csdm_cli.errors import CsdmError

_NUMBER = re.compile(r"[<>|=]?([biuf][1248]|\?)")


def load_plain(path: Path) -> Any:
    """The contents of a file: tensors, numbers and texts in lists, tuples and mappings.

    Raises:
        CsdmError: if the file is damaged, or holds more than that.
    """
    try:
        with torch.serialization.safe_globals(_STAND_INS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks on how it reads concern nobody here
            content = torch.load(path, map_location="cpu", weights_only=True)
        return _plain(content)
    except Exception as error:  # the unpickler raises almost anything on damaged bytes
        if names := _code_in(path):
            raise CsdmError(
                f"{path} holds pickled Python objects ({', '.join(names)}), which are not loaded, since loading can run"
                " code: save plain tensors instead, torch.save([images, labels], file)"
            ) from error
        raise CsdmError(f"{path} is damaged or holds more than plain tensors (pickled code is not loaded)") from error


def _code_in(path: Path) -> list[str]:
    """The first names of what a file would have to run; none if nobody can tell."""
    try:
        with torch.serialization.safe_globals(_STAND_INS):
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))[:3]
    except Exception:  # nothing can be told of damaged bytes
        return []


class _NumberType:
    """Stands in for ``numpy.dtype``."""

    def __init__(self, text: str, *_: Any) -> None:
        if not _NUMBER.fullmatch(text):
            raise ValueError(f"an array of {text!r} is not plain")
        self._type = np.dtype(text)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self._type = self._type.newbyteorder(state[1])

    def read(self, data: bytes) -> np.ndarray:
        """The numbers in ``data``, in the machine's own order of bytes."""
        found: np.ndarray = np.frombuffer(data, self._type).astype(self._type.newbyteorder("="))
        return found


class _Numbers:
    """Stands in for ``numpy.ndarray``."""

    array: np.ndarray

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, by_columns, data = state
        self.array = kind.read(data).reshape(shape, order="F" if by_columns else "C")


def _scalar(kind: _NumberType, data: bytes) -> Any:
    return kind.read(data)[0].item()


def _reconstruct(kind: type[_Numbers], *_: Any) -> _Numbers:
    return _Numbers()


_STAND_INS: list[Any] = [
    (_NumberType, "numpy.dtype"),
    (_Numbers, "numpy.ndarray"),
    *((_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((_reconstruct, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
]


def _plain(content: Any) -> Any:
    """``content`` with numpy's arrays as tensors."""
    if isinstance(content, _Numbers):
        return torch.from_numpy(content.array.copy())
    if isinstance(content, dict):
        return {name: _plain(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    return content.detach() if isinstance(content, Tensor) else content
