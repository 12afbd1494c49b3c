"""Which snapshot gives logits, and what they cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch

from csdm_cli.methods.regularisers.constraint import Constraint, LaterSnapshot, cross_entropy_of_logits
from csdm_cli.methods.statistics import Request
from csdm_cli.teachers.views import View
from tests.methods.random_batches import part, random_batch


def view(index: int, point, teacher: int = 1) -> View:
    return View(index, teacher, point, theta=None, frequency_seed=0)


@pytest.mark.parametrize(("epoch", "expected"), [(0, range(4)), (5, range(5, 9)), (8, (8, 9, 10)), (9, (9, 10))])
def test_logits_stage_is_any_of_the_next_snapshots_equally_often(epoch, expected):
    rule = LaterSnapshot(epochs=10, interval=4, seed=3)
    places = [rule.of(view(i, ("epoch", epoch))) for i in range(600)]
    assert all(teacher == 1 for teacher, _ in places)
    drawn = Counter(10 if point == "final" else point[1] for _, point in places)
    assert set(drawn) == set(expected)
    even = 600 / len(drawn)
    assert all(abs(count - even) < 5 * even**0.5 for count in drawn.values())


def test_logits_stage_under_other_schedules():
    rule = LaterSnapshot(epochs=10, interval=4)
    assert rule.of(view(0, "final")) == (1, "final")
    shares = [rule.of(view(i, ("interpolate", 0.5)))[1] for i in range(100)]
    assert all(kind == "interpolate" and 0.5 <= share <= 0.8 for kind, share in shares)
    assert max(shares)[1] > 0.75 and min(shares)[1] < 0.55
    assert all(rule.of(view(i, ("interpolate", 0.9)))[1][1] <= 1 for i in range(100))
    assert LaterSnapshot(epochs=10, interval=1).of(view(0, ("epoch", 4))) == (1, ("epoch", 4))


def test_logits_stage_follows_from_the_seed_and_the_view_alone():
    one = [LaterSnapshot(10, seed=1).of(view(i, ("epoch", 2))) for i in range(20)]
    assert one == [LaterSnapshot(10, seed=1).of(view(i, ("epoch", 2))) for i in range(20)]
    assert one != [LaterSnapshot(10, seed=2).of(view(i, ("epoch", 2))) for i in range(20)]


def test_term_is_a_sum_over_classes_of_mean_cross_entropies():
    batch, _ = random_batch(Request())
    logits = torch.randn(12, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    batch = replace(batch, logits=logits)
    expected = -sum(logits[4 * c : 4 * c + 4].log_softmax(1)[:, c].mean() for c in range(3))
    torch.testing.assert_close(cross_entropy_of_logits(batch), expected)
    torch.testing.assert_close(sum(Constraint().term(part(batch, c, c + 1)) for c in range(3)), expected)
