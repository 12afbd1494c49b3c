"""Sizes in bytes, and other large counts, as a person reads them."""

from __future__ import annotations

PREFIXES = (("G", 1e9), ("M", 1e6), ("k", 1e3))
ALMOST = 0.9995  # three digits round to the next prefix


def sized(count: int, unit: str = "B") -> str:
    """``308 kB``, ``1.23 MB``: three digits of ``count`` in powers of 1000; ``308 k`` without a unit."""
    for prefix, size in PREFIXES:
        if count >= ALMOST * size:
            return f"{count / size:.3g} {prefix}{unit}"
    return f"{count} {unit}".rstrip()
