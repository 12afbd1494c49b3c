"""Random features of a few classes as the batch that a method's losses read, with the statistics it asks for."""

from __future__ import annotations

import torch

from csdm_cli.methods.statistics import Batch, ClassStatistics, Request

COUNTS = (8, 5, 3)
CHANNELS = 2
DIM = 6


def random_batch(request: Request, seed: int = 0, per_class: int = 4) -> tuple[Batch, list[torch.Tensor]]:
    """Three classes, in float64, and their real features (n, 6)."""
    rng = torch.Generator().manual_seed(seed)
    real = [torch.randn(n, DIM, generator=rng, dtype=torch.float64).abs() for n in COUNTS]
    own = torch.randn(len(COUNTS) * per_class, DIM, generator=rng, dtype=torch.float64).abs().requires_grad_(True)
    summaries = {
        summary.name: torch.stack([summary.of(features, CHANNELS, 0) for features in real])
        for summary in request.summaries
    }
    statistics = ClassStatistics(
        mean=torch.stack([features.mean(0) for features in real]) if request.mean else None,
        summaries=summaries,
        features=real if request.features else None,
    )
    return Batch(0, len(COUNTS), per_class, own, statistics, None, channels=CHANNELS), real


def part(batch: Batch, first: int, last: int, features: torch.Tensor | None = None) -> Batch:
    """Classes ``first`` … ``last``-1 of a batch."""
    own = (batch.features if features is None else features)[first * batch.per_class : last * batch.per_class]
    logits = None if batch.logits is None else batch.logits[first * batch.per_class : last * batch.per_class]
    real = batch.real.of(first, last)
    return Batch(first, last, batch.per_class, own, real, None, logits, batch.channels, batch.view)


def total(terms: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(terms.values())).sum()


def value(terms: dict[str, torch.Tensor]) -> float:
    return float(total(terms).detach())
