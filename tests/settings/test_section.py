"""Refusals of every section, whatever its fields."""

from __future__ import annotations

import pytest
from pydantic import Field, ValidationError

from csdm_cli.settings.section import Section


class Made(Section):
    count: int = 1
    rate: float = 0.5
    listed: list[int] = Field([])
    switch: bool = False


def test_numbers_are_written_as_people_write_them():
    found = Made(count="12", rate="1e-3", listed=["4"], switch=True)
    assert (found.count, found.rate, found.listed, found.switch) == (12, 0.001, [4], True)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"count": "1_000"}, "loose_number"),
        ({"rate": " 5 "}, "loose_number"),
        ({"listed": ["1_0"]}, "loose_number"),
        ({"count": True}, "switch"),
        ({"listed": [True]}, "switch"),
        ({"rate": float("nan")}, "finite_number"),
        ({"unknown": 1}, "extra_forbidden"),
    ],
    ids=str,
)
def test_slips_are_mistakes(values, kind):
    with pytest.raises(ValidationError) as caught:
        Made(**values)
    assert [error["type"] for error in caught.value.errors()] == [kind]


def test_a_section_stays_what_it_is():
    with pytest.raises(ValidationError, match="frozen"):
        Made().count = 2
