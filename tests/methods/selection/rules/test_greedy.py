"""Every greedy pick equals an exhaustive search over the images left."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from csdm_cli.methods.selection.rules.greedy import graph_cut, herding, k_center
from tests.reference.selection import (
    cosine_similarity,
    graph_cut_scores,
    graph_cut_value,
    herding_scores,
    k_center_scores,
    radius,
    smallest_radius,
)

NEAR = 1e-9


@st.composite
def matrices(draw, low=-3, least=1):
    """(n, d) float64 of small whole numbers, so that equal rows and equal scores are common."""
    rows, columns = draw(st.integers(least, 6)), draw(st.integers(1, 3))
    row = st.lists(st.integers(low, 3), min_size=columns, max_size=columns)
    return torch.tensor(draw(st.lists(row, min_size=rows, max_size=rows)), dtype=torch.float64)


def check(picks, scores_given, sign, first=0):
    """Each pick from the ``first``-th on has the best score of those left; none comes twice."""
    picks = picks.tolist()
    assert len(set(picks)) == len(picks)
    for turn in range(first, len(picks)):
        scores = scores_given(picks[:turn])
        assert sign * scores[picks[turn]] >= max(sign * score for score in scores.values()) - NEAR


@given(matrices(), st.data())
@settings(max_examples=60)
def test_herding_picks_what_an_exhaustive_search_picks(features, data):
    count = data.draw(st.integers(1, len(features)))
    picks = herding(features, count)
    assert len(picks) == count
    check(picks, lambda before: herding_scores(features, before), -1)


@given(matrices(), st.data())
@settings(max_examples=60)
def test_k_center_picks_what_an_exhaustive_search_picks_and_covers_well(features, data):
    count = data.draw(st.integers(1, len(features)))
    first = data.draw(st.integers(0, len(features) - 1))
    picks = k_center(features, count, first)
    assert len(picks) == count and picks[0] == first
    check(picks, lambda before: k_center_scores(features, before), 1, first=1)
    assert radius(features, tuple(picks.tolist())) <= 2 * smallest_radius(features, count) + NEAR


@given(matrices(low=1), st.floats(0.1, 3), st.data())
@settings(max_examples=60)
def test_graph_cut_picks_what_an_exhaustive_search_picks(rows, weight, data):
    similarity = cosine_similarity(rows - 2.1)  # no row is zero
    count = data.draw(st.integers(1, len(rows)))
    picks = graph_cut(similarity.sum(0), lambda p: similarity[:, p], count, weight)
    assert len(picks) == count
    check(picks, lambda before: graph_cut_scores(similarity, before, weight), 1)


def test_herding_takes_the_minimum_and_not_the_maximum():
    """The mean is 2.5: first the nearest image, then the one that brings the sum nearest to 5."""
    features = torch.tensor([[0.0], [2.0], [3.5], [4.5]])
    assert herding(features, 2).tolist() == [1, 2]


def test_all_images_can_be_picked_and_equal_ones_come_in_their_order():
    same = torch.ones(4, 2)
    assert herding(same, 4).tolist() == [0, 1, 2, 3]
    assert k_center(same, 4, 2).tolist() == [2, 0, 1, 3]
    assert graph_cut(same.sum(1), lambda p: torch.ones(4), 4, 1.0).tolist() == [0, 1, 2, 3]


def test_more_weight_on_likeness_lets_graph_cut_stay_in_the_crowd():
    """Five images of one kind and one unlike them: the odd one comes second, or last."""
    similarity = torch.full((6, 6), 0.9).fill_diagonal_(1)
    similarity[5, :5] = similarity[:5, 5] = 0.1
    assert graph_cut(similarity.sum(0), lambda p: similarity[:, p], 2, 0.1).tolist()[1] == 5
    assert graph_cut(similarity.sum(0), lambda p: similarity[:, p], 6, 10.0).tolist()[5] == 5
    assert graph_cut_value(similarity, [0, 5], 0.1) > graph_cut_value(similarity, [0, 1], 0.1)


@pytest.mark.parametrize("rule", [herding, lambda f, c: k_center(f, c, 0)])
def test_a_rotation_changes_no_pick(rule):
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(12, 3, generator=rng, dtype=torch.float64)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=rng, dtype=torch.float64))
    assert rule(features @ turn + 1, 7).tolist() == rule(features, 7).tolist()
