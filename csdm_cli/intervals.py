"""95 % intervals of means of a few values, by Student's t; of differences of means, by Welch."""

from __future__ import annotations

import math

from csdm_cli.scores import Summary

CONFIDENCE = 0.95


def half_width(found: Summary | None) -> float | None:
    """Of the interval around the mean of values that are independent and about normal; None of fewer than two."""
    if found is None or found.std is None:
        return None
    return t_quantile(found.count - 1) * found.std / math.sqrt(found.count)


def difference_half_width(first: Summary | None, second: Summary | None) -> float | None:
    """Of the interval around the difference of two independent means; None if one has fewer than two values.

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


def t_quantile(freedom: float, confidence: float = CONFIDENCE) -> float:
    """The t that Student's distribution with ``freedom`` degrees of freedom keeps ±t around with ``confidence``."""
    from scipy.stats import t

    return float(t.ppf((1 + confidence) / 2, freedom))
