"""Numbers that parameters may be, and those just outside."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from csdm_cli.methods import bounds


@pytest.mark.parametrize(
    ("kind", "inside", "outside"),
    [
        (bounds.Several, (1, 10**6), (0, 10**6 + 1)),
        (bounds.Some, (0, 10**6), (-1, 10**6 + 1)),
        (bounds.Rate, (1e-9, 1e6), (0.0, 1.1e6)),
        (bounds.NonNegative, (0.0, 1e6), (-1e-9, 1.1e6)),
        (bounds.Momentum, (0.0, 0.999), (-0.1, 1.0)),
    ],
)
def test_both_ends(kind, inside, outside):
    read = TypeAdapter(kind).validate_python
    assert [read(value) for value in inside] == list(inside)
    for value in outside:
        with pytest.raises(ValidationError):
            read(value)
