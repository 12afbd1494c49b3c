"""SFM: statistical flow matching for frozen backbones (arXiv 2602.05391)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import cosine_similarity

from csdm_cli.device import to_device
from csdm_cli.methods.contract import Context, MatchingMethod, option
from csdm_cli.methods.statistics import Batch, ClassStatistics, ClassSummary, Request
from csdm_cli.seeds import generator

Spread = Literal["none", "centres", "second-moment"]
# Directions in which second moments are compared, the same for all classes and both sides.
DIRECTIONS = 16
LLOYD = 30  # rounds of k-means at most


@dataclass(frozen=True)
class SfmParameters:
    """Options of sfm."""

    per_class_cosine: bool = option(False, "a mean of the classes' cosines, in place of one of all flows together")
    weigh: Literal["classes", "images"] = option(
        "classes", "how much a class's flow counts: all alike, as in the paper, or by the class's number of images"
    )
    spread: Spread = option(
        "none",
        "what keeps a class's images apart: nothing, as in the paper; centres: each its own of as many k-means centres"
        " of the class; second-moment: a term that matches the classes' second moments",
    )
    moment_weight: Annotated[float, Field(ge=0)] = option(0.1, "weight of the term of --option spread=second-moment")
    shrink: bool = option(
        False, "draw a class's centre towards the mean of all, by its noise: tail classes' more than head classes'"
    )


@dataclass(frozen=True)
class Variance(ClassSummary):
    """Mean squared distance of a class's features from their mean: the trace of their covariance, over n."""

    name: ClassVar[str] = "variance"

    def of(self, features: Tensor, channels: int, seed: int) -> Tensor:
        """(n, D) -> ()."""
        return (features - features.mean(0)).square().sum(1).mean()


@dataclass(frozen=True)
class SecondMoment(ClassSummary):
    """Mean of z·zᵀ over a class's features, times fixed random directions."""

    name: ClassVar[str] = "second_moment"

    def of(self, features: Tensor, channels: int, seed: int) -> Tensor:
        """(n, D) -> (D, 16)."""
        return second_moments(features[None])[0]


@dataclass(frozen=True)
class Centres(ClassSummary):
    """As many k-means centres of a class as it has synthetic images."""

    count: int
    name: ClassVar[str] = "centres"

    def of(self, features: Tensor, channels: int, seed: int) -> Tensor:
        """(n, D) -> (count, D); with fewer images than that, the images again and again."""
        return kmeans(features, self.count, seed)


class Sfm(MatchingMethod):
    """1 − cos(real flows, synthetic flows), of all classes' flows m_c − μ_c as one vector.

    μ_c is the mean feature of class c and m_c the mean of the other classes' means, (Σ_k μ_k − μ_c)/(C − 1), on both
    sides. (The released code divides the synthetic one by C·IPC − 1, which at more than one image per class compares a
    flow that is hardly centred with one that is.) This is the gradient of a linear classifier on the features at W = 0,
    of class-balanced batches as large as the set: the loss of lgm without its noise. Nothing changes if all features
    are moved or scaled. ``spread`` is this project's, for the flows see a class's mean alone; so is ``shrink``:
    μ_c becomes μ̄ + s_c·(μ_c − μ̄) with s_c = d²/(d² + tr Σ/n_c), d² = ‖μ_c − μ̄‖², μ̄ the mean of the classes' means and
    tr Σ the trace of the pooled covariance, for tr Σ/n_c is the squared error expected of a mean of n_c images.
    ``weigh`` undoes the balance of classes: a gradient of the set as it is has the flow of a class times its share.
    """

    Parameters = SfmParameters
    summary = "matching of the flows between class means, for frozen backbones"
    source = "arXiv 2602.05391"
    cost = "one forward and backward of the synthetic images per step (bank)"
    for_backbones = True
    departures = (
        "real images are augmented as the synthetic ones are, by the draws of the bank (the paper: only the latter);"
        " pixels in place of the pyramid unless it is asked for; the synthetic flows are divided by C − 1"
    )
    coupled_by = "a flow leads from each class to the mean of all others"
    couples_classes = True
    parameters: SfmParameters

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """The learning rate, 0.002, is that of a pyramid's coefficients, and left out."""
        return {"distill": {"iterations": 5000, "optimizer": "adam", "schedule": "constant", "factor": 1}}

    def __init__(self, parameters: SfmParameters) -> None:
        super().__init__(parameters)
        self.pools_real = parameters.shrink
        self._per_class = 1  # until it is known
        self._counts: tuple[int, ...] = ()

    def prepare(self, context: Context) -> None:
        self._per_class, self._counts = context.per_class, context.counts

    def request(self) -> Request:
        p = self.parameters
        summaries: list[ClassSummary] = [Variance()] if p.shrink else []
        if p.spread == "centres":
            summaries.append(Centres(self._per_class))
        if p.spread == "second-moment":
            summaries.append(SecondMoment())
        return Request(mean=True, summaries=tuple(summaries))

    def revise(self, statistics: ClassStatistics) -> ClassStatistics:
        if not self.parameters.shrink:
            return statistics
        assert statistics.mean is not None
        counts = statistics.counts or self._counts
        means = shrunk(statistics.mean, statistics.summaries[Variance.name], counts)
        summaries = dict(statistics.summaries)
        if Centres.name in summaries:  # they move with their mean
            summaries[Centres.name] = summaries[Centres.name] + (means - statistics.mean)[:, None]
        return replace(statistics, mean=means, summaries=summaries)

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        p, real = self.parameters, batch.real
        assert real.mean is not None
        own = batch.by_class(batch.features)  # (C, per_class, D)
        if p.spread == "centres":
            goal = matched_to(real.summaries[Centres.name], own.detach())  # (C, per_class, D)
            wanted, found = flows(real.mean, goal), flows(own.mean(1), own)
        else:
            wanted, found = flows(real.mean, real.mean[:, None]), flows(own.mean(1), own.mean(1, keepdim=True))
        terms = {"flow": 1 - self._cosine(wanted, found)}
        if p.spread == "second-moment" and p.moment_weight:
            target = real.summaries[SecondMoment.name]  # (C, D, R), as the next
            distance = (second_moments(own) - target).square().sum() / target.square().sum()
            terms["second_moment"] = p.moment_weight * distance
        return terms

    def idle_options(self) -> frozenset[str]:
        return frozenset() if self.parameters.spread == "second-moment" else frozenset({"moment_weight"})

    def _cosine(self, wanted: Tensor, found: Tensor) -> Tensor:
        """The cosine term of (C, n, D) flows: a scalar."""
        shares = self._shares().to(wanted)
        if self.parameters.per_class_cosine:
            return (shares * cosine_similarity(wanted.flatten(1), found.flatten(1), dim=1)).mean()
        wanted, found = (shares[:, None, None] * side for side in (wanted, found))
        return cosine_similarity(wanted.flatten(), found.flatten(), dim=0)

    def _shares(self) -> Tensor:
        """How much each class's flow counts: (C,), of mean 1."""
        counts = torch.tensor(self._counts, dtype=torch.float64)
        return counts / counts.mean() if self.parameters.weigh == "images" else torch.ones_like(counts)


def flows(means: Tensor, ends: Tensor) -> Tensor:
    """From ``ends`` (C, n, D) of each class to the mean of the other classes' ``means`` (C, D): (C, n, D)."""
    others = (means.sum(0) - means) / (len(means) - 1)
    return others[:, None] - ends


def shrunk(means: Tensor, variances: Tensor, counts: Sequence[int]) -> Tensor:
    """Class means (C, D) drawn towards their own mean by their expected error.

    Args:
        means: means of n_c features each.
        variances: (C,), of the classes' features about their means, divided by n_c.
        counts: n_c.
    """
    n = to_device(torch.tensor(counts, dtype=means.dtype), means.device)
    freedom = (n.sum() - len(n)).clamp_min(1)
    pooled = (n * variances).sum() / freedom
    centre = means.mean(0)
    apart = means - centre
    squared = apart.square().sum(1)
    share = squared / (squared + pooled / n).clamp_min(torch.finfo(means.dtype).tiny)
    return centre + share[:, None] * apart


def second_moments(features: Tensor) -> Tensor:
    """Mean of z·zᵀ over n features, times fixed random directions: (C, n, D) -> (C, D, 16)."""
    rng = generator(0, "directions of second moments")
    directions = torch.randn(features.shape[2], DIRECTIONS, generator=rng, dtype=torch.float64)
    along = features @ to_device(directions, features.device).to(features)  # (C, n, 16)
    return features.mT @ along / features.shape[1]


def kmeans(points: Tensor, count: int, seed: int) -> Tensor:
    """K-means centres by Lloyd's rounds from k-means++: (n, D) -> (count, D). Equal on every run."""
    if len(points) <= count:
        return points[torch.arange(count, device=points.device) % len(points)]
    from sklearn.cluster import kmeans_plusplus

    centred = points - points.mean(0)
    found, _ = kmeans_plusplus(centred.cpu().numpy(), count, random_state=seed % 2**32)
    centres, nearest = torch.from_numpy(found).to(points), None
    for _ in range(LLOYD):
        now = torch.cdist(centred, centres).argmin(1)
        if nearest is not None and torch.equal(now, nearest):
            break
        nearest = now
        members = torch.nn.functional.one_hot(nearest, count).to(points)  # (n, count)
        sizes = members.sum(0)[:, None]
        centres = torch.where(sizes > 0, members.T @ centred / sizes.clamp_min(1), centres)
    return centres + points.mean(0)


def matched_to(centres: Tensor, features: Tensor) -> Tensor:
    """Centres (C, n, D) in the order of the ``features`` (C, n, D) that they are nearest to, one for one.

    Which goes to which depends on the products of both alone, so that moving or scaling either side changes nothing.
    """
    costs = torch.cdist(features.double(), centres.double()).square().detach().cpu().numpy()
    order = torch.stack([torch.from_numpy(linear_sum_assignment(cost)[1]) for cost in costs])
    return torch.take_along_dim(centres, to_device(order, centres.device)[:, :, None], 1)
