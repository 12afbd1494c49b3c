"""Class-aware weights: how α, the share of amplitude in a class's distance, follows the class's size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.names import AlphaSchedule


def alphas(counts: Sequence[int], schedule: AlphaSchedule, head: float, tail: float) -> Tensor:
    """α of every class.

    ``constant`` gives every class ``head``. ``log-count`` runs linearly in the logarithm of the class's
    count, from ``tail`` at the smallest class to ``head`` at the largest. ``reversed`` swaps the two ends.
    Where all classes are equally large, every schedule is ``constant``.

    Args:
        counts: images per class, each at least 1.
        schedule: one of the above.
        head: α of the largest class, within (0, 1).
        tail: α of the smallest class, within (0, 1).

    Returns:
        Shape (C,), float64, in the order of ``counts``.

    Raises:
        UsageError: if an end is not within (0, 1).
        CsdmError: if a class has no images.
    """
    for end, value in (("largest", head), ("smallest", tail)):
        if not 0 < value < 1:
            raise UsageError(f"α of the {end} class is {value:g}: expected a number between 0 and 1, both excluded")
    if min(counts) < 1:
        raise CsdmError(f"class {list(counts).index(min(counts))} has no images: every class needs at least one")
    smallest, largest = math.log(min(counts)), math.log(max(counts))
    if schedule is AlphaSchedule.constant or smallest == largest:
        return torch.full((len(counts),), head, dtype=torch.float64)
    at_smallest, at_largest = (head, tail) if schedule is AlphaSchedule.reversed else (tail, head)
    position = torch.tensor([(math.log(n) - smallest) / (largest - smallest) for n in counts], dtype=torch.float64)
    start, end = torch.tensor([at_smallest, at_largest], dtype=torch.float64)
    return torch.lerp(start, end, position)
