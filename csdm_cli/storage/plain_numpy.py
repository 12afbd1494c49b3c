"""Arrays out of .npz and .npy files: plain values alone, never pickled objects, and no more than their bytes hold."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from csdm_cli.errors import CsdmError, reason_of
from csdm_cli.safe_text import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A .npz that unpacks to more than this much, and to more than this many times its bytes, holds no images.
PLAUSIBLE, RATIO = 2**28, 200

DAMAGE = (ValueError, TypeError, KeyError, EOFError, OSError, NotImplementedError, zipfile.BadZipFile)


def load_array(file: Path) -> NDArray[Any]:
    """The array of a .npy file, in this machine's byte order.

    Raises:
        CsdmError: if the file is damaged, holds pickled objects, or announces more than it holds.
    """
    try:
        with file.open("rb") as opened:
            _refuse_forged(opened, file.stat().st_size)
        return _native(np.load(file, allow_pickle=False))
    except DAMAGE as error:
        raise _damaged(file, error) from error


def load_arrays(file: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz file by name, in this machine's byte order.

    Raises:
        CsdmError: as :func:`load_array`.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            _refuse_bomb(sum(info.file_size for info in archive.infolist()), file.stat().st_size)
            for info in archive.infolist():
                with archive.open(info) as member:
                    _refuse_forged(member, info.file_size)
        with np.load(file, allow_pickle=False) as content:
            return {name: _native(content[name]) for name in content.files}
    except DAMAGE as error:
        raise _damaged(file, error) from error


def _refuse_bomb(unpacked: int, packed: int) -> None:
    """Raise ValueError if so few bytes unpack to so many that they were made to fill the memory."""
    if unpacked > max(PLAUSIBLE, RATIO * packed):
        raise ValueError(f"its {packed:,} bytes unpack to {unpacked:,}, more than images or labels do")


def _refuse_forged(opened: IO[bytes], length: int) -> None:
    """Raise ValueError if the header describes more than the ``length`` bytes there are."""
    version = np.lib.format.read_magic(opened)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = reader(opened)
    if kind.hasobject:
        raise ValueError("an array of objects")
    if math.prod(shape) * kind.itemsize > length:
        raise ValueError(f"an array of {' x '.join(map(str, shape))} is announced, but its bytes are not there")


def _native(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _damaged(file: Path, error: Exception) -> CsdmError:
    reason = "it is no archive" if isinstance(error, zipfile.BadZipFile) else shown(reason_of(error), most=120)
    return CsdmError(f"{shown(file)} is damaged or holds pickled objects, which are not loaded ({reason})")
