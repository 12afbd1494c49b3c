"""Intervals of means: against scipy's t distribution, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from csdm_cli.evaluation.scores import MeanStd, difference_half_width, half_width, summarise, t_quantile


def test_quantiles():
    """A tangent for one degree of freedom, Cauchy's law; algebraic for two."""
    assert t_quantile(1) == pytest.approx(math.tan(0.95 * math.pi / 2))
    assert t_quantile(2) == pytest.approx(0.95 * (2 / (1 - 0.95**2)) ** 0.5)
    assert t_quantile(2, 0.5) == pytest.approx(0.5 * (2 / (1 - 0.5**2)) ** 0.5)


def test_the_interval_of_a_mean():
    values = [0.51, 0.50, 0.53]
    expected = scipy.stats.t.interval(0.95, 2, np.mean(values), scipy.stats.sem(values))
    found = summarise(values)
    assert [found.mean - half_width(found), found.mean + half_width(found)] == pytest.approx(expected)


def test_the_interval_of_a_difference():
    """Equal deviations and counts: as with the pooled variance and 2·(n − 1) degrees of freedom."""
    found = MeanStd(0.5, 0.1, 3)
    assert difference_half_width(found, found) == pytest.approx(scipy.stats.t.ppf(0.975, 4) * 0.1 * (2 / 3) ** 0.5)
    certain = MeanStd(0.4, 0.0, 3)  # all uncertainty is the other's, and so are the degrees of freedom
    assert difference_half_width(found, certain) == pytest.approx(half_width(found))
    assert difference_half_width(certain, certain) == 0


def test_unequal_deviations_have_welchs_interval():
    first, second = [0.51, 0.50, 0.53, 0.49], [0.44, 0.40, 0.30]
    test = scipy.stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    found = difference_half_width(summarise(first), summarise(second))
    assert found == pytest.approx((test.high - test.low) / 2)


def test_one_value_has_none():
    one = MeanStd(0.5, None, 1)
    assert half_width(one) is None and half_width(None) is None
    assert difference_half_width(one, MeanStd(0.5, 0.1, 3)) is None
