"""Where learned labels begin: the experts' logits, and the real images that experts know (DATM)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from csdm_cli.images.image_set import ImageSet

# Maps an expert's number to its logits of some images, (N, C).
Logits = Callable[[int], Tensor]


def start_logits(labels: Tensor, experts: int, logits: Logits, *, of_one: bool = False) -> Tensor:
    """The mean, over the experts that classify an image correctly, of their logits: (N, C).

    Where none does, the mean over all of them: the released codes divide by zero, or by 1e-4.

    Args:
        labels: (N,) classes.
        experts: how many there are.
        logits: logits of the images.
        of_one: the first expert's, right or wrong, as the released code has it for random images.
    """
    if of_one:
        return logits(0)
    every = torch.stack([logits(expert) for expert in range(experts)])  # (E, N, C)
    right = (every.argmax(2) == labels)[..., None].to(every.dtype)
    known = right.sum(0) > 0
    return torch.where(known, (right * every).sum(0) / right.sum(0).clamp(min=1), every.mean(0))


def known_images(data: ImageSet, wanted: int, experts: int, logits: Logits) -> ImageSet:
    """The images of each class that the first expert classifies correctly.

    A class of which it knows fewer than ``wanted`` also gives those that the second knows, and so on; a class of which
    no expert knows any gives all.
    """
    labels = data.labels
    known = torch.zeros(len(labels), dtype=torch.bool, device=labels.device)
    for expert in range(experts):
        poor = torch.bincount(labels[known], minlength=data.classes) < wanted
        if not bool(poor.any()):
            break
        known |= (logits(expert).argmax(1) == labels) & poor[labels]
    empty = torch.bincount(labels[known], minlength=data.classes) == 0
    known |= empty[labels]
    counts = torch.bincount(labels[known], minlength=data.classes).tolist()
    return replace(data, images=data.images[known], counts=tuple(counts))
