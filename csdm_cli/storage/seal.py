"""A hash of JSON values that stands beside them, so that a changed byte is noticed and nothing else decides."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any


def digest(value: Any) -> str:
    """SHA-256 of ``value`` as JSON with sorted keys, in hexadecimal digits."""
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def sealed(values: dict[str, Any], key: str) -> dict[str, Any]:
    """``values`` with their hash as ``key``, over which the hash itself does not go."""
    own = {name: value for name, value in values.items() if name != key}
    return own | {key: digest(own)}


def is_whole(values: dict[str, Any], key: str) -> bool:
    """Whether the hash that ``values`` hold as ``key`` is theirs; False if they hold none."""
    return values.get(key) == digest({name: value for name, value in values.items() if name != key})
