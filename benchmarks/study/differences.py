"""Arms against base: paired differences over the sets' seeds, and how far noise alone moves them.

A score of the set with seed s in arm a is taken to be μ_a + u_s + e, with e independent, about normal and of one
standard deviation σ in all arms. So σ is pooled: from the residuals of the least-squares fit of arms and seeds (a
randomised block design), with as many degrees of freedom as there are sets beyond its rank. The residuals of paired
differences would count base's own noise again in every arm, and promise more degrees of freedom than there are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from csdm_cli.evaluation.scores import CONFIDENCE, t_quantile

Scores = Mapping[int, float]  # by seed


@dataclass(frozen=True)
class Noise:
    """Standard deviation of one set around its arm and seed, in the unit of the scores; its degrees of freedom."""

    deviation: float
    freedom: int

    def half_width(self, sets: int, comparisons: int = 1) -> float:
        """Half-width of the 95 % interval around a mean of ``sets`` paired differences: t · σ · √(2 / sets).

        With several ``comparisons`` all of their intervals hold together with that confidence (Bonferroni).
        """
        confidence = 1 - (1 - CONFIDENCE) / comparisons
        return t_quantile(self.freedom, confidence) * self.deviation * math.sqrt(2 / sets)


@dataclass(frozen=True)
class Difference:
    """Mean of ``sets`` paired differences to base, and the half of its 95 % interval.

    Attributes:
        strict: half of the interval that holds together with those of all other arms.
    """

    mean: float
    sets: int
    half_width: float
    strict: float

    @property
    def significance(self) -> str:
        """``none`` where the interval includes 0; a star where the strict one does not."""
        if abs(self.mean) <= self.half_width:
            return "none"
        return ("better" if self.mean > 0 else "worse") + (" *" if abs(self.mean) > self.strict else "")


def pooled_noise(arms: Mapping[str, Scores]) -> Noise | None:
    """The noise of all arms together; None if there are no more sets than arms and seeds to fit."""
    seeds = sorted({seed for scores in arms.values() for seed in scores})
    cells = [(row, seeds.index(seed), value) for row, own in enumerate(arms.values()) for seed, value in own.items()]
    design = np.zeros((len(cells), len(arms) + len(seeds)))
    for place, (row, column, _) in enumerate(cells):
        design[place, row] = design[place, len(arms) + column] = 1
    values = np.array([value for _, _, value in cells])
    fit, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    freedom = len(cells) - int(rank)
    if freedom < 1:
        return None
    return Noise(math.sqrt(float(((values - design @ fit) ** 2).sum()) / freedom), freedom)


def mean_difference(arm: Scores, base: Scores) -> tuple[float, int]:
    """Over the seeds that both have, and their number.

    Raises:
        ValueError: if there are none.
    """
    common = sorted(arm.keys() & base.keys())
    if not common:
        raise ValueError("no seed in common with base")
    return fmean(arm[seed] - base[seed] for seed in common), len(common)


def difference(arm: Scores, base: Scores, noise: Noise, comparisons: int) -> Difference:
    """The difference of an arm, one of ``comparisons``, to base."""
    mean, sets = mean_difference(arm, base)
    return Difference(mean, sets, noise.half_width(sets), noise.half_width(sets, comparisons))
