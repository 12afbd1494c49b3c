"""The marks by which csdm knows a file as one of its own: what is in it.

So it knows it after a move, a copy, a fresh clone or an emptied cache, and no record has to travel along. Where the
format has room for it, csdm signs: the header of safetensors, a text chunk of PNG, the comment of a zip archive (npz
and pt). JSON, CSV and Markdown are known by the fields and lines that csdm alone writes, those of earlier releases
included. A file of csdm's that was damaged or edited is still csdm's as long as it can be told; if it cannot, it
counts as somebody else's and is left alone. So do pictures and exports of releases that did not sign.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csdm_cli.storage.bounded import parsed_json

SIGNATURE = "csdm"
HEAD = 2**20  # bytes in which the header of a tensor file is looked for
_PNG_START = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Kind:
    """A kind of file that csdm writes.

    Attributes:
        recognises: whether the file at this path is of the kind; it may raise OSError or ValueError if not.
        suffixes: how the name of such a file ends, where its user chooses it; none means in any way.
    """

    recognises: Callable[[Path], bool]
    suffixes: tuple[str, ...] = ()

    def wrote(self, path: Path) -> bool:
        """Whether csdm wrote ``path``, as a file of this kind; False for links, folders and devices."""
        if path.is_symlink() or not path.is_file():
            return False
        with suppress(OSError, ValueError):
            return self.recognises(path)
        return False


def tensors(*marks: str) -> Kind:
    """A safetensors file of csdm's whose header, as text, holds all ``marks``."""

    def recognises(path: Path) -> bool:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
            head = file.read(min(size, HEAD))
        signed = head.startswith(f'{{"__metadata__":{{"{SIGNATURE}":'.encode())
        return signed and all(mark.encode() in head for mark in marks)

    return Kind(recognises, (".safetensors",))


def containing(*marks: str, suffixes: tuple[str, ...] = ()) -> Kind:
    """A text that holds all ``marks``."""

    def recognises(path: Path) -> bool:
        text = path.read_bytes()
        return all(mark.encode() in text for mark in marks)

    return Kind(recognises, suffixes)


def json_with(*names: str, **inner: tuple[str, ...]) -> Kind:
    """A JSON object that has the fields ``names``, and in those of ``inner``, which are objects, theirs."""

    def recognises(path: Path) -> bool:
        value = parsed_json(path.read_bytes())
        return _has(value, (*names, *inner)) and all(_has(value[name], fields) for name, fields in inner.items())

    return Kind(recognises)


def json_that(holds: Callable[[dict[str, Any]], bool]) -> Kind:
    """A JSON object of which ``holds`` is true."""

    def recognises(path: Path) -> bool:
        value = parsed_json(path.read_bytes())
        return isinstance(value, dict) and holds(value)

    return Kind(recognises)


def _has(value: Any, names: tuple[str, ...]) -> bool:
    return isinstance(value, dict) and value.keys() >= set(names)


def _are_scores(value: Any) -> bool:
    return _has(value, ("accuracy",)) and _has(value["accuracy"], ("mean", "std", "students"))


def _are_metrics(value: dict[str, Any]) -> bool:
    """Whether these are scores of one set (evaluate), by architecture (cross-arch), or by table and row (compare)."""
    tables = [*value.values()]
    rows = [row for table in tables if isinstance(table, dict) for row in table.values()]
    return (
        (_are_scores(value) and _has(value, ("method", "labels", "split")))
        or (bool(tables) and all(map(_are_scores, tables)))
        or (bool(tables) and all(isinstance(table, dict) for table in tables) and all(map(_are_scores, rows)))
    )


def _are_accuracies(value: dict[str, Any]) -> bool:
    """Whether these are accuracies of one set (evaluate), or of several by their names (cross-arch, compare)."""
    return _has(value, ("accuracy", "accuracy_std", "worst_class", "gap")) or value.keys() == {"accuracy_percent"}


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and contents of each chunk of a PNG.

    Raises:
        ValueError: if ``data`` is no PNG.
    """
    if not data.startswith(_PNG_START):
        raise ValueError("not a PNG")
    place = len(_PNG_START)
    while place + 12 <= len(data):
        (size,) = struct.unpack(">I", data[place : place + 4])
        yield data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        place += 12 + size


def signed_png(data: bytes) -> bytes:
    """A PNG with csdm named as the software that made it, in a text chunk right after its header."""
    end = len(_PNG_START) + 25  # of IHDR, which comes first and has 13 bytes
    own = b"tEXt" + _PNG_TEXT
    chunk = struct.pack(">I", len(_PNG_TEXT)) + own + struct.pack(">I", zlib.crc32(own))
    return data[:end] + chunk + data[end:]


_PNG_TEXT = b"Software\0" + SIGNATURE.encode()


def _is_signed_png(path: Path) -> bool:
    return (b"tEXt", _PNG_TEXT) in png_chunks(path.read_bytes())


def signed_zip(data: bytes) -> bytes:
    """A zip archive with csdm named in its comment, which its readers pass over."""
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = SIGNATURE.encode()
    return buffer.getvalue()


def _is_signed_zip(path: Path) -> bool:
    with suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        return archive.comment == SIGNATURE.encode()
    return False


PNG = Kind(_is_signed_png, (".png",))
NPZ = Kind(_is_signed_zip, (".npz",))
PT = Kind(_is_signed_zip, (".pt",))
METRICS = json_that(_are_metrics)
SUMMARY = json_that(_are_accuracies)
RUN_RECORD = json_with("finished", "wall_seconds", "peak_memory_bytes", "machine", "code")
