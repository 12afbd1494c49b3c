"""Losses of classifiers on balanced and on long-tailed labels: one value per image, from logits and targets.

Two answers to a long tail of class priors π are kept apart, because they differ in more than a name:

* ``balanced-softmax`` changes the training loss: cross-entropy of f(x) + log n (Ren et al. 2020, "Balanced
  Meta-Softmax", theorem 1). With n/N = π this is exactly the logit-adjusted loss of Menon et al. 2021 at τ = 1
  (eq. 10), for a softmax ignores the constant log N; it therefore stands here under one name only.
* ``logit-adjustment`` is the post-hoc form of Menon et al. 2021, "Long-tail learning via logit adjustment" (eq. 9):
  train with plain cross-entropy, then decide by f(x) − τ·log π, with τ = 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from csdm_cli.device import constant
from csdm_cli.errors import CsdmError
from csdm_cli.names import TeacherLoss

# Maps logits (N, C) and target probabilities (N, C) to one loss per image (N,).
Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """``-Σ_c target_c · log softmax(logits)_c`` of each row: (N, C), (N, C) -> (N,)."""
    return F.cross_entropy(logits, targets.to(logits.dtype), reduction="none")


def balanced_softmax(counts: Sequence[int]) -> Loss:
    """Cross-entropy of ``logits + log n_c``; at inference the logits are used as they are.

    Args:
        counts: training images n_c of each class.

    Raises:
        CsdmError: if a class has no image.
    """
    prior = tuple(log_prior(counts).tolist())

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(logits + constant(prior, logits.dtype, logits.device), targets)

    return loss


def training_loss(name: TeacherLoss, counts: Sequence[int]) -> Loss:
    """The loss that a classifier of classes of ``counts`` images is trained with.

    Raises:
        CsdmError: if the loss weighs classes and one has no image.
    """
    return balanced_softmax(counts) if name is TeacherLoss.balanced_softmax else cross_entropy


def bias_after(name: TeacherLoss, counts: Sequence[int], bias: Tensor) -> Tensor:
    """The bias (C,) that a classifier decides with, once trained to have ``bias`` (C,).

    Post-hoc logit adjustment lowers it by the log priors, which lowers the logits by as much: whoever uses the
    weights needs to know nothing of it.

    Raises:
        CsdmError: if the loss is logit adjustment and a class has no image.
    """
    return bias - log_prior(counts).to(bias) if name is TeacherLoss.logit_adjustment else bias


def log_prior(counts: Sequence[int]) -> Tensor:
    """``log(n_c / N)``: (C,) float64. Logit adjustment subtracts it from the logits of a trained network.

    Raises:
        CsdmError: if a class has no image.
    """
    if min(counts) < 1:
        raise CsdmError(f"class {list(counts).index(min(counts))} has no training image: its prior is zero")
    share = torch.tensor(counts, dtype=torch.float64)
    return (share / share.sum()).log()
