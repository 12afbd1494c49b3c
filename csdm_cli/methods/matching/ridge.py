"""Ridge: a closed-form ridge probe of the synthetic images, judged on real features (CLP-DD, arXiv 2605.07194)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from csdm_cli.device import to_device
from csdm_cli.methods.contract import Context, MatchingMethod, option
from csdm_cli.methods.statistics import Batch, ClassSummary, Request
from csdm_cli.seeds import generator

SMALLEST = 1e-12  # mean squared length of features, lest equal ones be divided by nothing


@dataclass(frozen=True)
class RidgeParameters:
    """Options of ridge."""

    strength: Annotated[float, Field(gt=0)] = option(
        0.1, "of the ridge, in units of the synthetic features' mean squared distance from their mean"
    )
    score_temperature: Annotated[float, Field(gt=0)] = option(0.1, "that the probe's scores are divided by, as logits")
    outer: Literal["balanced", "plain", "logit-adjusted"] = option(
        "balanced",
        "loss on the real features: all classes alike; as often as they are in the set; or so, with the log of their"
        " shares added to the logits",
    )
    kept: Annotated[int, Field(ge=1)] = option(256, "real features kept of a class and view, or all it has")


@dataclass(frozen=True)
class RealFeatures(ClassSummary):
    """Features of as many of a class's images, chosen at random."""

    count: int
    name: ClassVar[str] = "real_features"

    def of(self, features: Tensor, channels: int, seed: int) -> Tensor:
        """(n, D) -> (count, D); with fewer images than that, zeros below them."""
        chosen = torch.randperm(len(features), generator=generator(seed, "real features"))[: self.count]
        found = features[to_device(chosen, features.device)]
        return torch.cat([found, found.new_zeros(self.count - len(found), found.shape[1])])


class Ridge(MatchingMethod):
    """Cross-entropy of real features under the ridge classifier of the synthetic ones.

    The classifier is W = Zᵀ(Z·Zᵀ + λ·I)⁻¹·Y of the M synthetic features Z and one-hot labels Y, both less their
    means, and a bias: the probe that would be trained on the set, in closed form. An M × M system is solved, whatever
    the features' dimension; its derivative in the pixels is exact. λ is ``strength`` times the mean of Z·Zᵀ's
    diagonal, so that nothing changes if all features are moved, turned or scaled. Logits are scores over
    ``score_temperature``. The outer losses for long tails are this project's.
    """

    Parameters = RidgeParameters
    summary = "a ridge probe of the synthetic images in closed form, judged on real features, for frozen backbones"
    source = "CLP-DD, arXiv 2605.07194"
    cost = "one forward and backward of the synthetic images and a solve of their number per step (bank)"
    for_backbones = True
    departures = (
        "features and labels are centred, which is a bias; real ones are of the bank's views, so many of a class;"
        " temperature and strength are this project's, iterations and optimiser of the paper preset sfm's, as its own"
        " are not known here; pixels in place of the pyramid unless it is asked for"
    )
    coupled_by = "one probe is fitted to all of them"
    couples_classes = True
    parameters: RidgeParameters

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """Those of sfm and lgm, which it is compared with in its paper: its own are not known here."""
        return {"distill": {"iterations": 5000, "optimizer": "adam", "schedule": "constant", "factor": 1}}

    def prepare(self, context: Context) -> None:
        self._counts = context.counts

    def request(self) -> Request:
        return Request(summaries=(RealFeatures(self.parameters.kept),))

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        p, real = self.parameters, batch.real.summaries[RealFeatures.name]  # (C, kept, D)
        scores = ridge_scores(batch.features, batch.labels, real.flatten(0, 1), p.strength)
        shares = to_device(torch.tensor(self._counts, dtype=torch.float64), scores.device).to(scores)
        shares = shares / shares.sum()
        logits = scores / p.score_temperature + (shares.log() if p.outer == "logit-adjusted" else 0)
        means = class_losses(logits.view(*real.shape[:2], -1), batch.real.counts or self._counts)
        return {"probe": (means if p.outer == "balanced" else len(shares) * shares * means).sum()}


def ridge_scores(features: Tensor, labels: Tensor, judged: Tensor, strength: float) -> Tensor:
    """Scores (N, C) that ridge regression of one-hot ``labels`` (M,) on ``features`` (M, D) gives ``judged`` (N, D)."""
    targets = one_hot(labels).to(features)
    centre, share = features.mean(0), targets.mean(0)
    centred = features - centre
    products = (centred @ centred.T).double()  # (M, M)
    length = products.diagonal().mean().clamp_min(SMALLEST)
    ridge = strength * length * torch.eye(len(products), dtype=products.dtype, device=products.device)
    weights: Tensor = torch.linalg.solve(products + ridge, (targets - share).double()).to(features)  # (M, C)
    scores: Tensor = (judged - centre) @ centred.T @ weights + share
    return scores


def class_losses(logits: Tensor, counts: Sequence[int]) -> Tensor:
    """Mean cross-entropy of each class's first rows, as many as it has images: (C, n, C) -> (C,)."""
    classes, rows = logits.shape[:2]
    labels = torch.arange(classes, device=logits.device)[:, None].expand(classes, rows)
    each = cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(classes, rows)
    real = [min(count, rows) for count in counts]
    return torch.stack([own[:number].mean() for own, number in zip(each, real, strict=True)])
