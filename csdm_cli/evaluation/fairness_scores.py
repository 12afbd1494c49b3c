"""Scores that take the labels' and the augmentation's share out of a distilled set's accuracy.

DD-Ranking (Li et al. 2025, arXiv 2505.13300) asks two questions instead of "how accurate": how far hard labels stay
behind the real data, and how much better than random images the set is when both are used alike.

* HLR, hard-label recovery: acc(real, hard) − acc(set, hard). Lower is better.
* IOR, improvement over random: acc(set) − acc(random), both under the set's own recipe: its labels, its augmentation.
* LRS, label-robust score: n(w·IOR − (1 − w)·HLR) with n(a) = (e^a − e^−1) / (e − e^−1), which maps [−1, 1] onto [0, 1].
* ARS, augmentation-robust score: n(w·IOR + (1 − w)·IOR₀), where IOR₀ is the IOR without any augmentation.

All accuracies are fractions: with percent n leaves [0, 1] at once. Each score is computed student by student, from
students of the same number in every row, and only then averaged.

A long tail needs two more readings of the same students (:class:`Form`), because on it the whole set trained by
cross-entropy is a weak ``real``, and a mean over test images need not speak of the tail:

* ``balanced``: balanced accuracy (the mean over classes), and ``real`` is the best full-data control by it, out of
  cross-entropy, logit adjustment, balanced softmax and the debiased recipe.
* ``tail``: the mean over the tail classes, with that same control. Not the control that is best there: the tail alone
  is served best by whoever calls everything rare.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

from csdm_cli.evaluation.scores import MeanStd, summarise


class Form(StrEnum):
    """The accuracy that is compared, and the training on the real data that it is compared with."""

    standard = "standard"
    balanced = "balanced"
    tail = "tail"


@dataclass(frozen=True)
class Accuracies:
    """The accuracies of one student of each row, as fractions.

    Attributes:
        real: taught the whole training set with hard labels.
        distilled_hard: taught the distilled set with hard labels.
        distilled: taught the distilled set under its own recipe.
        random: taught as many random real images under that recipe.
        distilled_plain, random_plain: the same two without augmentation.
    """

    real: float
    distilled_hard: float
    distilled: float
    random: float
    distilled_plain: float
    random_plain: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            assert 0 <= value <= 1, f"{field.name} {value} is no fraction"


@dataclass(frozen=True)
class Fairness:
    """The scores of one student of each row: differences of fractions, and two scores in [0, 1].

    Attributes:
        hlr, ior, lrs, ars: see the module.
        ior_plain: IOR without augmentation.
    """

    hlr: float
    ior: float
    ior_plain: float
    lrs: float
    ars: float


def normalised(value: float) -> float:
    """(e^value − e^−1) / (e − e^−1): increasing, −1 to 0 and 1 to 1; 0 becomes 0.269."""
    return (math.exp(value) - math.exp(-1)) / (math.e - math.exp(-1))


def label_robust_score(ior: float, hlr: float, weight: float) -> float:
    """LRS; ``weight`` in [0, 1] is the improvement's, the rest is the recovery's."""
    return normalised(weight * ior - (1 - weight) * hlr)


def augmentation_robust_score(ior: float, ior_plain: float, weight: float) -> float:
    """ARS; ``weight`` in [0, 1] is that of the improvement with augmentation."""
    return normalised(weight * ior + (1 - weight) * ior_plain)


def fairness(found: Accuracies, weight: float) -> Fairness:
    """All scores, with ``weight`` in [0, 1] for both LRS and ARS (DD-Ranking's own is 1/2)."""
    hlr = found.real - found.distilled_hard
    ior = found.distilled - found.random
    ior_plain = found.distilled_plain - found.random_plain
    return Fairness(
        hlr=hlr,
        ior=ior,
        ior_plain=ior_plain,
        lrs=label_robust_score(ior, hlr, weight),
        ars=augmentation_robust_score(ior, ior_plain, weight),
    )


def summarise_fairness(found: Sequence[Fairness]) -> dict[str, MeanStd]:
    """Mean and spread over the students of every score; ``found`` has at least one."""
    summaries = {field.name: summarise(getattr(one, field.name) for one in found) for field in fields(Fairness)}
    return {name: summary for name, summary in summaries.items() if summary is not None}
