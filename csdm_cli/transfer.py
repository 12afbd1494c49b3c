"""Small tensors on their way to a device, for which the host does not wait."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device | str) -> Tensor:
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
    return sent(torch.tensor(values, dtype=dtype), device)
