"""Distillation shared among ranks: each moves the pixels of its own classes, and rank 0 puts the results together."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from csdm_cli.distillation.leaves import IMAGES, Leaves
from csdm_cli.distillation.loop import Distillation
from csdm_cli.distillation.real_side import RealSide
from csdm_cli.distillation.step import Matching
from csdm_cli.parallel.class_shares import ClassShare
from csdm_cli.parallel.ranks import Ranks


def shared_iteration(
    leaves: Leaves, share: ClassShare, matching: Matching, real: RealSide, step: int
) -> dict[str, Tensor]:
    """One optimiser step for the classes of a share, whose images the ``leaves`` are.

    Returns:
        each loss term, one value per chunk: (chunks,).
    """
    target, ipc = real.at(step), matching.formation.ipc
    terms = []
    for first, last in share.chunks:
        own = leaves.images[(first - share.first) * ipc : (last - share.first) * ipc]
        terms.append(matching.backward_chunk(own, target, step, first, last))
    leaves.step(step)
    return {name: torch.stack([of_chunk[name] for of_chunk in terms]) for name in terms[0]}


def collected(own: Distillation, ranks: Ranks) -> Distillation | None:
    """At rank 0 the whole from all ranks' shares, bit for bit what one process gives; None at the others.

    Raises:
        CsdmError: if a rank died, or cannot be reached.
    """
    device, names = own.images.device, list(own.history)  # none where there are no classes or no iterations
    terms = torch.stack([own.history[name] for name in names]) if names else torch.empty(0, 0, 0)
    images = ranks.gather(own.images)
    columns = ranks.gather(terms.to(device))
    if images is None or columns is None:
        return None
    summed = _summed(torch.cat([part for part in columns if part.numel()], dim=-1)) if names else terms
    history = dict(zip(names, summed.cpu(), strict=True))
    return replace(own, leaves={IMAGES: torch.cat(images)}, history=history)


def _summed(terms: Tensor) -> Tensor:
    """(…, chunks) -> (…), added up in the order in which one process does."""
    first, *others = terms.unbind(-1)
    total = first
    for column in others:
        total = total + column
    return total
