"""Small tensors on their way to a device, for which the host does not wait; and memory there."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """``tensor`` on ``device``; the host waits only for what comes back to it.

    A GPU fetches pinned memory by itself; from other memory CUDA may first let all the work before it finish.
    """
    device = torch.device(device)
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=device.type != "cpu")


@lru_cache(maxsize=64)
def constant(values: Sequence[float], dtype: torch.dtype, device: torch.device) -> Tensor:
    """The numbers as a tensor that is made once and kept; it is not to be changed. ``values`` is a tuple."""
    return to_device(torch.tensor(values, dtype=dtype), device)


# Of glibc's mallopt: names of its parameters, and bytes.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEPT, LARGEST_KEPT = 2**28, 2**25


def keep_freed_memory() -> None:
    """Let this process keep up to 256 MB that it freed, in blocks of at most 32 MB, for what it allocates next.

    Otherwise glibc gives the maps between a network's layers back to the system at every step, and gets them anew page
    by page: a quarter of the time of a step on a CPU. Nothing happens where the C library is another.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - whether it is glibc
        library.mallopt(TRIM_THRESHOLD, KEPT)
        library.mallopt(MMAP_THRESHOLD, LARGEST_KEPT)


STATUS = Path("/proc/self/status")

RESET = Path("/proc/self/clear_refs")


@dataclass
class Peak:
    """``bytes`` at the highest point within the block; None where the system cannot tell."""

    bytes: int | None = None


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Peak]:
    """Measure the block: CUDA's allocator, or the resident memory of the process (Linux).

    The high-water mark of the process is reset first, so that earlier peaks do not count.
    """
    peak = Peak()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        yield peak
        torch.cuda.synchronize(device)
        peak.bytes = torch.cuda.max_memory_allocated(device)
        return
    with suppress(OSError):
        RESET.write_text("5")
    yield peak
    peak.bytes = _status("VmHWM")


def resident_bytes() -> int | None:
    """Resident memory of this process now; None where the system cannot tell."""
    return _status("VmRSS")


def free_bytes(device: torch.device) -> int | None:
    """Bytes that can still be allocated on a CUDA device, torch's own unused blocks included; None on others."""
    if device.type != "cuda":
        return None
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + unused


def _status(field: str) -> int | None:
    with suppress(OSError):
        if found := re.search(rf"^{field}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE):
            return int(found[1]) * 1024
    return None
