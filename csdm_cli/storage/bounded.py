"""JSON and YAML from files that anybody may have changed, kept to what is read within a moment and a little memory.

Both nest without end, hold numbers of any length, and YAML repeats a part by a word. What is too much raises a
ValueError, as what is no JSON does, so that a reader has one kind of failure to tell of.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from csdm_cli.errors import CsdmError

MOST_BYTES = 256 * 2**20
MOST_DEPTH = 64
MOST_DIGITS = 40
MOST_VALUES = 20_000_000

KindT = TypeVar("KindT")


def parsed_json(data: bytes | str) -> Any:
    """The JSON value in ``data``.

    Raises:
        ValueError: if it is none (nor are NaN and infinity), or too long, too deep, or holds an integer of more than
            ``MOST_DIGITS`` digits.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"longer than {MOST_BYTES:,} bytes")
    try:
        value = json.loads(data, parse_int=_integer, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return bounded(value)


def read_json(path: Path, hint: str) -> Any:
    """The JSON value in the file ``path``.

    Args:
        path: the file.
        hint: advice about a damaged one, e.g. ``run csdm evaluate again``.

    Raises:
        FileNotFoundError, NotADirectoryError: if there is no file.
        CsdmError: in one line, if it cannot be read, or is no JSON within these bounds.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"longer than {MOST_BYTES:,} bytes")
        return parsed_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise CsdmError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise CsdmError(f"{path} is damaged, it is no JSON that csdm wrote: {hint}") from error


_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def adapter(kind: type[KindT]) -> TypeAdapter[KindT]:
    """The adapter of ``kind``, made once: that takes longer than most of what it is used for."""
    return _ADAPTERS.get(kind) or _ADAPTERS.setdefault(kind, TypeAdapter(kind))


def typed(value: Any, kind: type[KindT], path: Path, hint: str) -> KindT:
    """``value``, which came from ``path``, as a ``kind``: a dataclass, or any type that pydantic knows.

    Raises:
        CsdmError: in one line with the first place that is wrong, and ``hint``.
    """
    try:
        found = adapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise CsdmError(f"{path} is damaged ({place + ': ' if place else ''}{first['msg'].lower()}): {hint}") from error
    return found


def bounded(value: Any, most: int = MOST_VALUES) -> Any:
    """``value`` itself, unless it is too deep, or holds more than ``most`` values, a shared part at every mention.

    Raises:
        ValueError: then.
    """
    level, count = [value], 0
    for _ in range(MOST_DEPTH):
        below = []
        for part in (part for whole in level for part in _parts(whole)):
            count += 1
            if count > most:
                raise ValueError("too many values")
            if isinstance(part, (dict, list)):
                below.append(part)
        level = below
        if not level:
            return value
    raise ValueError("nested too deeply")


def _parts(whole: Any) -> Any:
    if isinstance(whole, dict):
        return whole.values()
    return whole if isinstance(whole, list) else ()


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON value")
