"""Results of students, summed and averaged by hand, and read back from JSON."""

from __future__ import annotations

import json

import pytest

from csdm_cli.evaluation.results import Evaluation, StudentRun
from csdm_cli.evaluation.scores import ClassGroups

GROUPS = ClassGroups((0,), (), (1,))
FIRST = StudentRun(0, ((3, 1), (2, 2)), ((5, 0.75), (10, 0.625)))  # 5 of 8; 3 of 4 and 2 of 4
SECOND = StudentRun(1, ((4, 0), (1, 3)), ((5, 0.5), (10, 0.875)))
BOTH = Evaluation("k", (FIRST, SECOND), GROUPS)


def test_means_over_students():
    assert BOTH.accuracy.mean == pytest.approx((5 / 8 + 7 / 8) / 2) and BOTH.accuracy.count == 2
    found = BOTH.metrics()
    assert set(found) == {"accuracy", "head", "tail", "worst_class", "best_on_test"}, "no class is in the middle"
    assert found["head"].mean == pytest.approx((3 / 4 + 1) / 2)
    assert found["tail"].mean == found["worst_class"].mean == pytest.approx((2 / 4 + 3 / 4) / 2)
    assert found["best_on_test"].mean == pytest.approx((0.75 + 0.875) / 2)


def test_confusions_are_summed_and_classes_averaged():
    assert BOTH.confusion == ((7, 1), (3, 5))
    assert [summary.mean for summary in BOTH.per_class if summary] == pytest.approx([7 / 8, 5 / 8])


def test_json_gives_it_back():
    told = json.loads(json.dumps(BOTH.as_dict()))
    assert Evaluation.from_dict(told, GROUPS) == BOTH
    assert told["metrics"]["accuracy"]["mean"] == pytest.approx(0.75) and told["groups"]["tail"] == [1]
