"""Content keys: what a cached result depends on, as a short hash."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent


def content_key(value: Any) -> str:
    """16 hexadecimal digits that change when anything in ``value`` (JSON) changes."""
    text = json.dumps(value, sort_keys=True, allow_nan=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def source_hash(*rooms: str) -> str:
    """Hash of the package's source files in ``rooms`` (paths below csdm_cli; none: the whole package).

    A cached result carries the hash of the code that made it, so that a change of code makes it anew.
    """
    digest = hashlib.sha256()
    for room in rooms or ("",):
        place = PACKAGE / room
        assert place.exists(), f"{room} is no room of the package"
        for file in [place] if place.is_file() else sorted(place.rglob("*.py")):
            digest.update(file.relative_to(PACKAGE).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def module_hash(cls: type) -> str:
    """Hash of the package's file that defines ``cls``."""
    return source_hash(cls.__module__.partition(".")[2].replace(".", "/") + ".py")
