"""The weights by which a balanced synthetic set imitates a long tail's gradient (LAD)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def lad_class_weights(counts: Sequence[int], floor: int = 0, *, released: bool = False) -> Tensor:
    """w_k = C·(n_k + f)/Σ(n + f) for the targets' classes: (C,) float64, of mean 1.

    The student of the representation phase sees −Σ_k w_k·y_k·log p_k, so that balanced synthetic images move it as the
    long tail moved the expert ("Distilling Long-tailed Datasets", CVPR 2025). The released code leaves out the
    factor C: its weights sum to 1, and its student takes steps C times as short at the same step size. With the factor,
    balanced counts give weights of 1, and so the loss of DATM.

    Args:
        counts: n_k, real images per class.
        floor: f, added to every count.
        released: as the released code has it, without the factor C.
    """
    shares = torch.tensor(counts, dtype=torch.float64) + floor
    shares = shares / shares.sum()
    return shares if released else len(counts) * shares
