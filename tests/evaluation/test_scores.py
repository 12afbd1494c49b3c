from __future__ import annotations

import random
import statistics

import pytest
from scipy.stats import ttest_ind

from csdm_cli.evaluation.scores import (
    ClassGroups,
    MeanStd,
    Scores,
    group_of_classes,
    means_by_group,
    pooled_deviation,
    sets_to_tell,
    share_of_gap_closed,
    summarise,
    summarise_sets,
)


@pytest.mark.parametrize(
    ("counts", "head", "medium", "tail"),
    [
        # ⌈0.3·10⌉ = 3
        ((5000, 2775, 1540, 854, 474, 263, 146, 81, 45, 25), (0, 1, 2), (3, 4, 5, 6), (7, 8, 9)),
        # shuffled classes: 90, 80 | 50, 30, 20 | 10, 5 with ⌈2.1⌉ = 3 of 7
        ((10, 90, 50, 5, 80, 20, 30), (1, 2, 4), (6,), (0, 3, 5)),
        # ties by label: the lower label counts as the larger class
        ((7, 7, 7, 7), (0, 1), (), (2, 3)),
        ((1, 9, 9, 9, 1), (1, 2), (3,), (0, 4)),
        ((4, 8), (1,), (), (0,)),
        ((4, 8, 6), (1,), (2,), (0,)),
        ((4,), (0,), (), ()),
    ],
)
def test_groups(counts, head, medium, tail):
    assert group_of_classes(counts) == ClassGroups(head, medium, tail)


def test_groups_share_out_the_classes():
    """Head and tail are the smallest numbers that are at least three tenths of the classes."""
    for classes in range(2, 130):
        groups = group_of_classes(list(range(classes, 0, -1)))
        assert groups.head + groups.medium + groups.tail == tuple(range(classes)), classes
        for size in (len(groups.head), len(groups.tail)):
            assert 10 * (size - 1) < 3 * classes <= 10 * size, classes


def test_scores_by_hand():
    confusion = [[8, 2, 0], [1, 3, 0], [4, 1, 1]]  # 8 of 10, 3 of 4, 1 of 6
    scores = Scores.of(confusion, ClassGroups((0, 1), (), (2,)))
    assert scores.accuracy == pytest.approx(12 / 20)
    assert scores.per_class == pytest.approx((0.8, 0.75, 1 / 6))
    assert scores.head == pytest.approx((0.8 + 0.75) / 2)  # classes weigh alike, not images
    assert scores.medium is None
    assert scores.tail == scores.worst_class == pytest.approx(1 / 6)


def test_a_class_without_test_images_has_no_accuracy():
    scores = Scores.of([[2, 0], [0, 0]], ClassGroups((0,), (), (1,)))
    assert scores.per_class == (1.0, None)
    assert scores.tail is None and scores.worst_class == 1.0


def test_balanced_accuracy_weighs_classes_alike_whatever_their_test_images():
    scores = Scores.of([[8, 2, 0, 0], [1, 3, 0, 0], [4, 1, 1, 0], [0, 0, 0, 0]], ClassGroups((0,), (1, 2), (3,)))
    assert scores.balanced == pytest.approx((8 / 10 + 3 / 4 + 1 / 6) / 3) != pytest.approx(scores.accuracy)


def test_summary_is_mean_and_sample_deviation():
    summary = summarise([0.1, None, 0.3, 0.2])
    assert summary is not None
    assert (summary.mean, summary.std, summary.count) == (pytest.approx(0.2), pytest.approx(0.1), 3)
    assert str(summary) == "20.0 ± 10.0"
    assert summarise([0.5]) == MeanStd(0.5, None, 1)
    assert str(MeanStd(0.5, None, 1)) == "50.0"
    assert summarise([None]) is None


def test_spread_over_students_and_over_sets():
    over = summarise_sets([[0.1, 0.3], [0.5, 0.7]])
    assert over.students.mean == pytest.approx(0.4) and over.students.count == 4
    assert over.students.std == pytest.approx((0.2 / 3) ** 0.5)  # squares .09 + .01 + .01 + .09 over 3
    assert over.sets.mean == pytest.approx(0.4) and over.sets.count == 2
    assert over.sets.std == pytest.approx(0.4 / 2**0.5)
    assert over.within == pytest.approx(0.02**0.5)  # both sets: squares .01 + .01 over 1
    assert summarise_sets([[0.1], [0.3]]).within is None


def test_share_of_the_gap():
    assert share_of_gap_closed(0.45, 0.3, 0.6) == pytest.approx(0.5)
    assert share_of_gap_closed(0.2, 0.3, 0.6) == pytest.approx(-1 / 3)
    assert share_of_gap_closed(0.45, 0.3, 0.3) is None


def test_means_by_group():
    """Seven classes have three head and three tail ones; a single class is head."""
    counts = (10, 90, 50, 5, 80, 20, 30)
    found = means_by_group((0.1, 0.9, 0.5, 0.05, 0.8, 0.2, 0.3), counts)
    assert found == pytest.approx(
        {"all classes": 2.85 / 7, "head": 2.2 / 3, "medium": 0.3, "tail": (0.1 + 0.05 + 0.2) / 3}
    )
    assert means_by_group((0.5,), (4,)) == {"all classes": 0.5, "head": 0.5}


@pytest.mark.parametrize(("effect", "count"), [(0.2, 394), (0.5, 64), (0.8, 26), (1.0, 17)])
def test_sets_needed_are_those_of_cohens_table(effect, count):
    """Cohen 1988, table 2.4.1, two-sided at 0.05 with power 0.80."""
    assert sets_to_tell(effect) == count


def test_one_of_several_comparisons_needs_more_sets_and_finds_as_often():
    """2,000 simulated pairs of samples at a tenth of the error; their share has a standard error of 0.009."""
    alone, among = sets_to_tell(1.2), sets_to_tell(1.2, comparisons=10)
    assert among > alone
    draw = random.Random(0)
    samples = [
        [[draw.gauss(mean, 1) for _ in range(among)] for _ in range(2000)] for mean in (0, 1.2)
    ]  # two of (pairs, values)
    assert (ttest_ind(*samples, axis=1).pvalue < 0.005).mean() == pytest.approx(0.82, abs=0.04)


def test_the_pooled_deviation_weighs_samples_by_their_degrees_of_freedom():
    first, second = [1.0, 2.0, 6.0], [4.0, 5.0]
    expected = ((2 * statistics.variance(first) + statistics.variance(second)) / 3) ** 0.5
    assert pooled_deviation([first, second, [9.0]]) == pytest.approx(expected)
    assert pooled_deviation([[9.0]]) is None
