"""Fairness scores: closed forms, limits, monotonicity."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csdm_cli.evaluation.fairness_scores import (
    Accuracies,
    augmentation_robust_score,
    fairness,
    label_robust_score,
    normalised,
    summarise_fairness,
)

FRACTION = st.floats(0, 1)
SIGNED = st.floats(-1, 1)
ACCURACIES = st.builds(Accuracies, *[FRACTION] * 6)
SOME = Accuracies(
    real=0.6, distilled_hard=0.5, distilled=0.55, random=0.35, distilled_plain=0.4, random_plain=0.3
)  # fmt: skip


def test_normalisation_by_hand():
    assert normalised(-1) == 0 and normalised(1) == 1
    assert normalised(0) == pytest.approx(1 / (1 + math.e))  # (1 − 1/e) / (e − 1/e) = 1 / (e + 1)


def test_the_published_example():
    """IOR 20 and HLR 35 points at equal weights: 0.238 as fractions."""
    assert label_robust_score(0.20, 0.35, 0.5) == pytest.approx(0.238, abs=5e-4)


def test_scores_by_hand():
    found = fairness(SOME, 0.5)
    assert (found.hlr, found.ior, found.ior_plain) == pytest.approx((0.1, 0.2, 0.1))
    span = math.e - 1 / math.e
    assert found.lrs == pytest.approx((math.exp(0.05) - 1 / math.e) / span)
    assert found.ars == pytest.approx((math.exp(0.15) - 1 / math.e) / span)


def test_the_ends_of_the_scale():
    best = Accuracies(real=0, distilled_hard=1, distilled=1, random=0, distilled_plain=1, random_plain=0)
    worst = Accuracies(real=1, distilled_hard=0, distilled=0, random=1, distilled_plain=0, random_plain=1)
    for weight in (0, 0.5, 1):
        assert fairness(best, weight).lrs == fairness(best, weight).ars == pytest.approx(1)
        assert fairness(worst, weight).lrs == fairness(worst, weight).ars == pytest.approx(0)


@given(ACCURACIES, FRACTION)
def test_scores_stay_in_the_unit_interval(found, weight):
    scores = fairness(found, weight)
    assert -1e-12 <= scores.lrs <= 1 + 1e-12 and -1e-12 <= scores.ars <= 1 + 1e-12


@given(SIGNED, SIGNED, SIGNED, FRACTION)
def test_scores_grow_with_every_gain(first, second, other, weight):
    low, high = sorted((first, second))
    assert label_robust_score(low, other, weight) <= label_robust_score(high, other, weight)
    assert label_robust_score(other, low, weight) >= label_robust_score(other, high, weight)
    assert augmentation_robust_score(low, other, weight) <= augmentation_robust_score(high, other, weight)
    assert augmentation_robust_score(other, low, weight) <= augmentation_robust_score(other, high, weight)


def test_a_weight_of_one_or_zero_hears_one_side_alone():
    """All weight on the improvement: hard labels and the real data do not matter; none: nothing else does."""
    without_recovery = replace(SOME, real=0.9, distilled_hard=0.1)
    assert fairness(SOME, 1).lrs == fairness(without_recovery, 1).lrs == pytest.approx(normalised(0.2))
    without_gain = replace(SOME, distilled=0.1, random=0.9)
    assert fairness(SOME, 0).lrs == fairness(without_gain, 0).lrs == pytest.approx(normalised(-0.1))
    assert fairness(SOME, 1).ars == pytest.approx(normalised(0.2))
    assert fairness(SOME, 0).ars == pytest.approx(normalised(0.1))


def test_percent_is_refused():
    with pytest.raises(AssertionError, match="no fraction"):
        replace(SOME, real=60.0)


def test_students_are_scored_before_they_are_averaged():
    """A mean of scores, which the exponential keeps apart from the score of the means."""
    pair = [fairness(SOME, 0.5), fairness(replace(SOME, distilled=0.95), 0.5)]
    found = summarise_fairness(pair)
    assert found["lrs"].mean == pytest.approx((pair[0].lrs + pair[1].lrs) / 2) and found["lrs"].count == 2
    middle = fairness(replace(SOME, distilled=0.75), 0.5).lrs
    assert found["lrs"].mean > middle + 1e-3
