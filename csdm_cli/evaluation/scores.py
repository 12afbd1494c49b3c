"""Scores of classifiers: accuracy overall, per class, of head, medium and tail, with mean and spread."""

from __future__ import annotations

import itertools
import math
import statistics
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache

Confusion = Sequence[Sequence[int]]  # images of each true class (row) by the class they were taken for (column)


@dataclass(frozen=True)
class ClassGroups:
    """Labels of the classes with the most images, the fewest, and the rest."""

    head: tuple[int, ...]
    medium: tuple[int, ...]
    tail: tuple[int, ...]


def group_of_classes(counts: Sequence[int]) -> ClassGroups:
    """Head and tail are the ⌈0.3·C⌉ classes with the most and the fewest training images.

    Classes of equal size count as ordered by label, the lower label as the larger class. Of a single class
    there is only a head.
    """
    classes = len(counts)
    size = -(-3 * classes // 10)
    ranked = sorted(range(classes), key=lambda label: (-counts[label], label))
    last = max(size, classes - size)
    return ClassGroups(*(tuple(sorted(part)) for part in (ranked[:size], ranked[size:last], ranked[last:])))


@dataclass(frozen=True)
class Scores:
    """Accuracies of one classifier on one test set, as fractions; None where there is no test image.

    Attributes:
        accuracy: share of all test images that are right.
        per_class: accuracy of each class's images.
        head, medium, tail: means over the group's classes.
        worst_class: the lowest of ``per_class``.
    """

    accuracy: float
    per_class: tuple[float | None, ...]
    head: float | None
    medium: float | None
    tail: float | None
    worst_class: float

    @property
    def balanced(self) -> float:
        """Balanced accuracy: the mean of ``per_class``, whatever the classes' numbers of test images."""
        return statistics.fmean(value for value in self.per_class if value is not None)

    @classmethod
    def of(cls, confusion: Confusion, groups: ClassGroups) -> Scores:
        """Scores from a confusion matrix (C, C) with at least one image."""
        totals = [sum(row) for row in confusion]
        right = [row[label] for label, row in enumerate(confusion)]
        per_class = tuple(hits / total if total else None for hits, total in zip(right, totals, strict=True))

        def mean_of(group: Sequence[int]) -> float | None:
            known = [value for value in (per_class[label] for label in group) if value is not None]
            return statistics.fmean(known) if known else None

        return cls(
            accuracy=sum(right) / sum(totals),
            per_class=per_class,
            head=mean_of(groups.head),
            medium=mean_of(groups.medium),
            tail=mean_of(groups.tail),
            worst_class=min(value for value in per_class if value is not None),
        )


@dataclass(frozen=True)
class MeanStd:
    """Mean and sample standard deviation (n - 1) of ``count`` values; the latter None for a single one."""

    mean: float
    std: float | None
    count: int

    def __str__(self) -> str:
        """Mean ± deviation in percent, as tables print it."""
        spread = "" if self.std is None else f" ± {100 * self.std:.1f}"
        return f"{100 * self.mean:.1f}{spread}"


def summarise(values: Iterable[float | None]) -> MeanStd | None:
    """Mean and spread of the values that are known; None if none is."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return MeanStd(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None, len(known))


@dataclass(frozen=True)
class OverSets:
    """The same score of several distilled sets, each measured by several students.

    Attributes:
        students: mean and spread over all students of all sets.
        sets: mean and spread of the sets' means: what another distillation run would change.
        within: spread of the students of one set, pooled over the sets; None with one student per set.
    """

    students: MeanStd
    sets: MeanStd
    within: float | None


def summarise_sets(values: Sequence[Sequence[float]]) -> OverSets:
    """Mean and spread from one list of students' scores per set; none may be empty."""
    students = summarise(value for part in values for value in part)
    sets = summarise(statistics.fmean(part) for part in values)
    assert students is not None and sets is not None
    return OverSets(students, sets, pooled_deviation(values))


def means_by_group(per_class: Sequence[float], counts: Sequence[int]) -> dict[str, float]:
    """Mean of a value per class (C,), over all classes and over each group of them that has some, by its name."""
    groups = group_of_classes(counts)
    parts = {"all classes": tuple(range(len(counts))), **asdict(groups)}
    return {name: sum(per_class[label] for label in part) / len(part) for name, part in parts.items() if part}


def share_of_gap_closed(distilled: float, random: float, best_full: float) -> float | None:
    """``(set - random) / (best full-data control - random)``: 0 is random images, 1 the whole set.

    None where the whole set is no better than random images: there is no gap then.
    """
    gap = best_full - random
    return (distilled - random) / gap if gap > 0 else None


CONFIDENCE = 0.95


def half_width(found: MeanStd | None) -> float | None:
    """Half-width of the t-interval of a mean of independent, about normal values; None for fewer than two."""
    if found is None or found.std is None:
        return None
    return t_quantile(found.count - 1) * found.std / math.sqrt(found.count)


def difference_half_width(first: MeanStd | None, second: MeanStd | None) -> float | None:
    """Half-width of the interval of the difference of two independent means; None if one has fewer than two values.

    Welch's t-interval: the variances need not be equal; its degrees of freedom are Satterthwaite's.
    """
    if first is None or second is None or first.std is None or second.std is None:
        return None
    parts = [(one.std**2 / one.count, one.count - 1) for one in (first, second) if one.std is not None]
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return 0.0
    freedom = variance**2 / sum(part**2 / own for part, own in parts)
    return t_quantile(freedom) * math.sqrt(variance)


def paired_half_width(differences: Sequence[float]) -> float | None:
    """Half-width of the t-interval of a mean of paired differences; None for fewer than two.

    Args:
        differences: one per pair.
    """
    return half_width(summarise(differences))


@cache  # it integrates for a second
def together_half_widths(control: tuple[float, ...], others: tuple[tuple[float, ...], ...]) -> list[float] | None:
    """Half-widths of the intervals of each mean's difference to the control's that hold together, by Dunnett's test.

    Dunnett 1955, "A multiple comparison procedure for comparing several treatments with a control": independent, about
    normal values of one variance, which all samples estimate together; a sample of one value says nothing about it.

    Args:
        control: values of the control.
        others: values of each other sample.

    Returns:
        one per sample; None if no sample has two values, or none differ in any.
    """
    from scipy.stats import dunnett

    if not any(len(set(sample)) > 1 for sample in (control, *others)):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the name of the seed, which older versions know alone
        found = dunnett(*others, control=control, random_state=0).confidence_interval(CONFIDENCE)
    return [float(high - low) / 2 for low, high in zip(found.low, found.high, strict=True)]


def pooled_deviation(samples: Iterable[Sequence[float]]) -> float | None:
    """Standard deviation of single values around their own sample's mean; None where no sample has two values."""
    several = [sample for sample in samples if len(sample) > 1]
    if not several:
        return None
    squares = sum((len(sample) - 1) * statistics.variance(sample) for sample in several)
    return math.sqrt(squares / sum(len(sample) - 1 for sample in several))


def sets_to_tell(effect: float, comparisons: int = 1, power: float = 0.8) -> int:
    """How many values of each of two samples a t-test takes to find a difference of their means.

    Cohen 1988, "Statistical power analysis for the behavioral sciences", section 2.4: two-sided, of equal variances, by
    the noncentral t; at one of several comparisons' share of the error (Bonferroni).

    Args:
        effect: the difference in standard deviations of single values, > 0.
        comparisons: how many differences are tested.
        power: how often it is to be found.
    """
    from scipy.stats import nct, norm

    error = (1 - CONFIDENCE) / comparisons

    def found(count: int) -> float:
        freedom, shift = 2 * count - 2, effect * math.sqrt(count / 2)
        bound = t_quantile(freedom, 1 - error)
        return float(nct.sf(bound, freedom, shift) + nct.cdf(-bound, freedom, shift))

    as_if_known = 2 * (float(norm.isf(error / 2) + norm.ppf(power)) / effect) ** 2  # of a known deviation: never more
    return next(count for count in itertools.count(max(2, math.floor(as_if_known))) if found(count) >= power)


def t_quantile(freedom: float, confidence: float = CONFIDENCE) -> float:
    """The t that Student's distribution with ``freedom`` degrees of freedom keeps ±t around with ``confidence``."""
    from scipy.stats import t

    return float(t.ppf((1 + confidence) / 2, freedom))
