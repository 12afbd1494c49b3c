"""Names that people type, several in one text."""

from __future__ import annotations

import pytest

from csdm_cli.names import whole_names


@pytest.mark.parametrize(
    ("typed", "known", "meant"),
    [
        ("cat,dog", ["cat", "dog", "eel"], ["cat", "dog"]),
        ("African elephant, bull,cat", ["cat", "African elephant, bull"], ["African elephant, bull", "cat"]),
        ("a,b", ["a", "b", "a,b"], ["a,b"]),
        ("b,a", ["a", "b", "a,b"], ["b", "a"]),
        ("cat,mouse", ["cat"], ["cat", "mouse"]),
        ("", ["cat"], []),
    ],
)
def test_names_may_hold_commas(typed, known, meant):
    parts = [part.strip() for part in typed.split(",") if part.strip()]
    assert whole_names(parts, known) == meant
