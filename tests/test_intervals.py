"""Intervals of means: against scipy's t distribution, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from csdm_cli.intervals import difference_half_width, half_width, t_quantile
from csdm_cli.scores import Summary, summarise


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 9, 30, 101])
def test_quantiles(freedom):
    for confidence in (0.5, 0.95, 0.999):
        expected = scipy.stats.t.ppf((1 + confidence) / 2, freedom)
        assert t_quantile(freedom, confidence) == pytest.approx(expected, rel=1e-9)


def test_the_interval_of_a_mean():
    values = [0.51, 0.50, 0.53]
    expected = scipy.stats.t.interval(0.95, 2, np.mean(values), scipy.stats.sem(values))
    found = summarise(values)
    assert [found.mean - half_width(found), found.mean + half_width(found)] == pytest.approx(expected)


def test_the_interval_of_a_difference():
    """Equal deviations and counts: as with the pooled variance and 2·(n − 1) degrees of freedom."""
    found = Summary(0.5, 0.1, 3)
    assert difference_half_width(found, found) == pytest.approx(scipy.stats.t.ppf(0.975, 4) * 0.1 * (2 / 3) ** 0.5)
    certain = Summary(0.4, 0.0, 3)  # all uncertainty is the other's, and so are the degrees of freedom
    assert difference_half_width(found, certain) == pytest.approx(half_width(found))
    assert difference_half_width(certain, certain) == 0


def test_unequal_deviations_lie_on_the_safe_side_of_welch():
    first, second = [0.51, 0.50, 0.53, 0.49], [0.44, 0.40, 0.30]
    test = scipy.stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    found = difference_half_width(summarise(first), summarise(second))
    assert (test.high - test.low) / 2 <= found < 2 * (test.high - test.low)


def test_one_value_has_none():
    one = Summary(0.5, None, 1)
    assert half_width(one) is None and half_width(None) is None
    assert difference_half_width(one, Summary(0.5, 0.1, 3)) is None
