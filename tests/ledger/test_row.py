"""Rows: what they summarise, and what they refuse."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest

from csdm_cli.errors import CsdmError
from csdm_cli.ledger.row import Row, RunCost
from tests.ledger.rows import full_row, row, student


def test_json_and_back():
    for made in (row(), full_row()):
        assert Row.from_dict(json.loads(json.dumps(made.as_dict())), "here") == made


def test_files_keep_the_word_judging_for_the_cost_of_students():
    cost = RunCost(12.5, 1024)
    made = replace(row(), sets=(replace(row().sets[0], evaluating=cost),))
    written = made.as_dict()["sets"][0]
    assert written["judging"] == {"wall_seconds": 12.5, "peak_memory_bytes": 1024} and "evaluating" not in written
    assert Row.from_dict(made.as_dict(), "here").sets[0].evaluating == cost


def test_spread_is_over_sets_and_over_students_of_one():
    """Set means 0.55 and 0.45: their deviation is 0.1/√2; of a single set's students 0.02/√2."""
    assert row().spread.mean == pytest.approx(0.5) and row().spread.std == pytest.approx(0.1 / 2**0.5)
    assert full_row(0.7).spread.mean == pytest.approx(0.71) and full_row(0.7).spread.std == pytest.approx(0.02 / 2**0.5)
    assert row(((0.5,),)).spread.std is None


def test_groups_follow_class_sizes():
    """Four classes: two head, none left between, two tail (⌈0.3·4⌉ = 2)."""
    one = replace(row().sets[0], students=(student(0.5, (0.9, 0.7, 0.3, 0.1)),))
    found = replace(row(), sets=(one,))
    assert found.of_group("head").sets.mean == pytest.approx(0.8)
    assert found.of_group("tail").sets.mean == pytest.approx(0.2)
    assert found.of_group("medium") is None


def test_the_best_step_is_never_the_headline():
    assert row().best_on_test.students.mean == pytest.approx(row().spread.mean + 0.01)


def test_names_can_be_files():
    assert row().name == "some-table-csdm-hard" and full_row().name == "some-table-full-cross-entropy"


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        (lambda value: value.pop("sets"), "sets"),
        (lambda value: value.update(extra=1), "extra"),
        (lambda value: value.update(scale="huge"), "scale"),
        (lambda value: value.update(scale_text=""), "scale_text"),
        (lambda value: value.update(schema="another"), "schema"),
        (lambda value: value["sets"][0]["students"][0].update(accuracy=51.0), "accuracy"),
        (lambda value: value["sets"][0]["students"][0].update(per_class=[0.5]), "per_class"),
        (lambda value: value["sets"][1].update(seed=0), "same seed"),
        (lambda value: value.update(ipc=None), "without a seed"),
        (lambda value: value["data"].update(fingerprints={"train": "a"}), "fingerprints"),
    ],
)
def test_what_is_wrong_is_named(change, fragment):
    value = copy.deepcopy(row().as_dict())
    change(value)
    with pytest.raises(CsdmError, match=fragment) as caught:
        Row.from_dict(value, "results/x.json")
    assert str(caught.value).startswith("results/x.json")
