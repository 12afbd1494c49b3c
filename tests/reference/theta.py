"""θ put together by hand, row by row."""

from __future__ import annotations

import torch
from torch import Tensor

from csdm_cli.images.augmentation_parameters import PARAMETERS, Theta


def identity(groups: int) -> Theta:
    """θ that leaves ``groups`` rows of images as they are."""
    return Theta(torch.tensor([[p.identity for p in PARAMETERS.values()]]).repeat(groups, 1), frozenset())


def theta_with(values: Tensor) -> Theta:
    """θ of ``values`` (G, len(PARAMETERS)), with the operations that change something in some row."""
    columns = zip(PARAMETERS.values(), values.unbind(1), strict=True)
    return Theta(values, frozenset(p.operation for p, column in columns if (column != p.identity).any()))
