"""The losses are lightly's, and are the papers' closed forms."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import Tensor

from csdm_cli.errors import UsageError
from csdm_cli.names import Objective
from csdm_cli.training import objectives
from csdm_cli.training.objectives import library, pair_loss


def embeddings() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    first, noise = (torch.randn(12, 5, generator=rng, dtype=torch.float64) for _ in range(2))
    return first, first + 0.3 * noise


def vicreg(first: Tensor, second: Tensor) -> Tensor:
    total = 25 * (first - second).square().mean()
    for one in (first, second):
        total += 25 * (1 - (one.var(0) + 1e-4).sqrt()).clamp(min=0).mean() / 2
        covariance = one.T.cov()
        total += (covariance.square().sum() - covariance.diag().square().sum()) / one.shape[1]
    return total


def barlow_twins(first: Tensor, second: Tensor) -> Tensor:
    one, other = ((x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt() for x in (first, second))
    correlation = one.T @ other / len(first)
    diagonal = correlation.diag()
    return (1 - diagonal).square().sum() + 0.005 * (correlation.square().sum() - diagonal.square().sum())


def simclr(first: Tensor, second: Tensor) -> Tensor:
    every = torch.nn.functional.normalize(torch.cat([first, second]), dim=1)
    alike, count = (every @ every.T / 0.5).exp(), len(first)
    total = torch.zeros((), dtype=torch.float64)
    for place in range(2 * count):
        others = alike[place].sum() - alike[place, place]
        total -= (alike[place, (place + count) % (2 * count)] / others).log()
    return total / (2 * count)


@pytest.mark.parametrize("objective", Objective)
def test_losses_are_the_papers_closed_forms(objective):
    pytest.importorskip("lightly")
    wanted = {"vicreg": vicreg, "barlow-twins": barlow_twins, "simclr": simclr}[objective]
    torch.testing.assert_close(pair_loss(objective)(*embeddings()), wanted(*embeddings()), rtol=1e-9, atol=1e-9)
    assert library().startswith("lightly ")


def test_without_the_library_one_line_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightly.loss", None)

    def missing(name: str) -> str:
        raise objectives.PackageNotFoundError(name)

    monkeypatch.setattr(objectives, "version", missing)
    for ask in (lambda: pair_loss(Objective.vicreg), library):
        with pytest.raises(UsageError, match=r"pip install 'csdm-cli\[selfsup\]'"):
            ask()


def test_every_objective_has_its_constants():
    assert set(objectives.JITTER) == set(objectives.LAYERS) == set(Objective)
