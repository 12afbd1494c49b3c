"""The columns of a parquet file that hold images and labels, and what its metadata say of them.

Only bytes and numbers are images. A text might be a path, and a stranger's table that names this machine's own files
would pull them into the data set: texts are refused, never opened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.safe_text import shown

if TYPE_CHECKING:
    import pyarrow

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label")


class Cells(Enum):
    """How a column holds images: coded bytes, a struct of them, or nested lists of pixels."""

    coded = "coded"
    struct = "struct"
    pixels = "pixels"


def image_column(file: Path, schema: pyarrow.Schema, asked: str | None) -> str:
    """Name of the column of images: the one asked for, one of the usual names, or the only one that can be.

    Raises:
        UsageError: if there is no such column, or none that could be told from others.
    """
    return _column(file, schema, asked, IMAGE_COLUMNS, "image", lambda kind: cells_of(kind) is not None)


def label_column(file: Path, schema: pyarrow.Schema, asked: str | None) -> str:
    """Name of the column of labels, found as :func:`image_column` finds that of images.

    Raises:
        UsageError: as :func:`image_column`.
    """
    return _column(file, schema, asked, LABEL_COLUMNS, "label", _can_label)


def cells_of(kind: pyarrow.DataType) -> Cells | None:
    """How cells of this type hold images; None if they cannot."""
    import pyarrow

    if _is_bytes(kind):
        return Cells.coded
    if pyarrow.types.is_struct(kind):
        field = kind.get_field_index("bytes")
        return Cells.struct if field >= 0 and _is_bytes(kind.field(field).type) else None
    depth = 0
    while _is_list(kind):
        depth, kind = depth + 1, kind.value_type
    return Cells.pixels if depth in (2, 3) and pyarrow.types.is_integer(kind) else None


def image_cells(file: Path, schema: pyarrow.Schema, column: str) -> Cells:
    """How ``column`` of ``file`` holds images.

    Raises:
        CsdmError: if it holds something else, or is missing.
    """
    if column not in schema.names:
        raise CsdmError(f"{file} has no column {shown(column)}, which the first file has")
    kind = schema.field(column).type
    found = cells_of(kind)
    if found is None:
        told = _told(kind)
        advice = ": paths are read from a list, with --train-list" if told == "texts" else ""
        raise CsdmError(f"{file}: column {shown(column)} holds {told}, not image bytes{advice}")
    return found


def class_names(file: Path, schema: pyarrow.Schema, column: str) -> tuple[str, ...] | None:
    """The names in the schema's metadata, as the datasets library writes them; None without.

    Raises:
        CsdmError: if they are no list.
    """
    raw = (schema.metadata or {}).get(b"huggingface", b"")
    try:
        names: Any = json.loads(raw)["info"]["features"][column]["names"]
    except (TypeError, KeyError, ValueError, RecursionError):
        return None
    if names is None:
        return None
    if not isinstance(names, list):
        raise CsdmError(f"{file}: the class names in its metadata are {shown(repr(names), most=60)}, not a list")
    return tuple(str(name) for name in names)


def _column(
    file: Path,
    schema: pyarrow.Schema,
    asked: str | None,
    usual: Sequence[str],
    what: str,
    can_be: Callable[[pyarrow.DataType], bool],
) -> str:
    there = ", ".join(shown(name) for name in schema.names)
    if asked is not None:
        if asked not in schema.names:
            raise UsageError(f"{file} has no column {shown(asked)}; it has {there}")
        return asked
    if found := next((name for name in usual if name in schema.names), None):
        return found
    possible = [field.name for field in schema if can_be(field.type)]
    if len(possible) == 1:
        return str(possible[0])
    raise UsageError(f"{file} has no column {' or '.join(usual)}; it has {there}: choose one with --{what}-column")


def _can_label(kind: pyarrow.DataType) -> bool:
    from pyarrow import types

    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_string, types.is_large_string)
    return any(test(kind) for test in tests)


def _is_bytes(kind: pyarrow.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))


def _is_list(kind: pyarrow.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _told(kind: pyarrow.DataType) -> str:
    from pyarrow import types

    if types.is_string(kind) or types.is_large_string(kind):
        return "texts"
    return shown(kind, most=60)
