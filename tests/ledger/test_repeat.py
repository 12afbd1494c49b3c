"""Equal to the bit, within two standard errors, or neither."""

from __future__ import annotations

import pytest

from csdm_cli.ledger.repeat import compare_rows
from tests.ledger.rows import row


def test_the_same_students_are_bit_equal():
    verdict = compare_rows(row(), row())
    assert verdict.bit_equal and verdict.agrees and verdict.difference == 0 and "bit-equal" in str(verdict)


def test_two_standard_errors_by_hand():
    """Set means 0.5, 0.6 against 0.52, 0.64: deviations 0.05·√2 and 0.06·√2, so 2·√(0.005/2 + 0.0072/2)."""
    verdict = compare_rows(row(((0.5,), (0.6,))), row(((0.52,), (0.64,))))
    assert verdict.tolerance == pytest.approx(2 * (0.0025 + 0.0036) ** 0.5)
    assert not verdict.bit_equal and verdict.agrees and "within two standard errors" in str(verdict)
    assert verdict.difference == pytest.approx(0.03)


def test_a_mean_far_off_disagrees():
    verdict = compare_rows(row(((0.5,), (0.51,))), row(((0.6,), (0.61,))))
    assert not verdict.agrees and "outside" in str(verdict)


def test_one_student_cannot_confirm_what_is_not_equal():
    verdict = compare_rows(row(((0.5,),)), row(((0.501,),)))
    assert not verdict.agrees and "no standard error" in str(verdict)
    assert compare_rows(row(((0.5,),)), row(((0.5,),))).agrees
