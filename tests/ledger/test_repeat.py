"""Equal to the bit, within two standard errors, or neither."""

from __future__ import annotations

from dataclasses import replace

import pytest

from csdm_cli.artifacts.run_record import Machine
from csdm_cli.ledger.repeat import changes, compare_rows
from csdm_cli.ledger.row import Maker
from tests.ledger.rows import row


def test_the_same_students_are_bit_equal():
    found = compare_rows(row(), row())
    assert found.bit_equal and found.agrees and found.difference == 0 and "bit-equal" in str(found)


def test_two_standard_errors_by_hand():
    """Set means 0.5, 0.6 against 0.52, 0.64: deviations 0.05·√2 and 0.06·√2, so 2·√(0.005/2 + 0.0072/2)."""
    found = compare_rows(row(((0.5,), (0.6,))), row(((0.52,), (0.64,))))
    assert found.tolerance == pytest.approx(2 * (0.0025 + 0.0036) ** 0.5)
    assert not found.bit_equal and found.agrees and "within two standard errors" in str(found)
    assert found.difference == pytest.approx(0.03)


def test_a_mean_far_off_disagrees():
    found = compare_rows(row(((0.5,), (0.51,))), row(((0.6,), (0.61,))))
    assert not found.agrees and "outside" in str(found)


def test_one_student_cannot_confirm_what_is_not_equal():
    found = compare_rows(row(((0.5,),)), row(((0.501,),)))
    assert not found.agrees and "no standard error" in str(found)
    assert compare_rows(row(((0.5,),)), row(((0.5,),))).agrees


def test_what_made_the_sets_is_told_if_another_machine_did():
    before, again = row(), row(machine=Machine("some", 4, None, "Linux", "3.11"))
    assert changes(before, again) == ["threads 1, now 4"]
    by_gpu = Maker(Machine("some", 1, "a GPU", "Linux", "3.11"), "c0ffee", dirty=False)
    elsewhere = replace(before, sets=tuple(replace(one, maker=by_gpu) for one in before.sets))
    assert changes(elsewhere, again) == ["sets made on a GPU, now on some", "threads 1, now 4"]
