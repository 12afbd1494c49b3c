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

    Welch's t-interval: the variances need not be equal. Its degrees of freedom (Welch and Satterthwaite) are rounded
    down, which makes the interval wider rather than narrower.
    """
    if first is None or second is None or first.std is None or second.std is None:
        return None
    parts = [(one.std**2 / one.count, one.count - 1) for one in (first, second) if one.std is not None]
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return 0.0
    freedom = variance**2 / sum(part**2 / own for part, own in parts)
    return t_quantile(max(1, math.floor(freedom + 1e-9))) * math.sqrt(variance)


def t_quantile(freedom: int, confidence: float = CONFIDENCE) -> float:
    """The t that Student's distribution with ``freedom`` ≥ 1 degrees of freedom keeps ±t around with ``confidence``.

    Found by bisection in the angle θ = atan(t/√freedom), in which the probability is a finite sum.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < confidence else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _within(angle: float, freedom: int) -> float:
    """P(|T| ≤ √freedom · tan(angle)): Abramowitz and Stegun, 26.7.3 (odd) and 26.7.4 (even)."""
    odd, sine, cosine = freedom % 2, math.sin(angle), math.cos(angle)
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for power in range(2 + odd, freedom - 1, 2):
        term *= (power - 1) / power * cosine**2
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
