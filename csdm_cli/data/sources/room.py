"""Whether images fit into this machine's memory, asked before room for them is made."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from csdm_cli.errors import UsageError

GIB = 2**30


def refuse_without_room(shape: Sequence[int]) -> None:
    """Raise UsageError if uint8 images (N, channels, height, width) take more memory than the machine has."""
    needed, there = math.prod(shape), machine_memory()
    if there is not None and needed > there:
        raise UsageError(
            f"{shape[0]:,} images of {shape[-2]}x{shape[-1]} take {needed / GIB:,.1f} GiB of memory, this machine has "
            f"{there / GIB:,.1f}: choose a smaller --size or fewer images"
        )


def machine_memory() -> int | None:
    """Bytes of memory that this machine has; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not on Windows
        return None
