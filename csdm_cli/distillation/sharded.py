"""Distillation shared among ranks: each moves the pixels of its own classes, and rank 0 puts the results together."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from csdm_cli.distillation.loop import Distillation
from csdm_cli.distillation.real_side import Target
from csdm_cli.distillation.step import Matching
from csdm_cli.parallel.class_shares import ClassShare
from csdm_cli.parallel.ranks import Ranks


def shared_backward(
    matching: Matching, share: ClassShare, images: Tensor, target: Target, step: int
) -> dict[str, Tensor]:
    """As ``matching.backward``, of the images (c·ipc, channels, h, w) of a share's c classes.

    Returns:
        each loss term, one value per chunk: (chunks,).
    """
    ipc, terms = matching.formation.ipc, []
    for first, last in share.chunks:
        own = images[(first - share.first) * ipc : (last - share.first) * ipc]
        terms.append(matching.backward_chunk(own, target, step, first, last))
    return {name: torch.stack([of_chunk[name] for of_chunk in terms]) for name in terms[0]}


def collected(own: Distillation, ranks: Ranks) -> Distillation | None:
    """At rank 0 the whole from all ranks' shares, bit for bit what one process gives; None at the others.

    Raises:
        CsdmError: if a rank died, or cannot be reached.
    """
    device = next(iter(own.leaves.values())).device
    names = list(own.history)  # none where there are no classes or no iterations
    terms = torch.stack([own.history[name] for name in names]) if names else torch.empty(0, 0, 0)
    parts = {name: ranks.gather(leaf) for name, leaf in own.leaves.items()}
    columns = ranks.gather(terms.to(device))
    if columns is None:
        return None
    leaves = {name: torch.cat(of_ranks) for name, of_ranks in parts.items() if of_ranks is not None}
    whole = summed(torch.cat([part for part in columns if part.numel()], dim=-1)) if names else terms
    return replace(own, leaves=leaves, history=dict(zip(names, whole.cpu(), strict=True)))


def summed(terms: Tensor) -> Tensor:
    """(…, chunks) -> (…), added up in one order, whoever does it."""
    first, *others = terms.unbind(-1)
    total = first
    for column in others:
        total = total + column
    return total
