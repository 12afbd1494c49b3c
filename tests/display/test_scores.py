"""Scores have one decimal, and a spread where it is known."""

from __future__ import annotations

import pytest

from csdm_cli.display.scores import score_text


@pytest.mark.parametrize(
    ("score", "text"),
    [
        ({"mean": 51.234, "std": 0.55, "students": 3}, "51.2 ± 0.6"),
        ({"mean": 0.0, "std": 0.0}, "0.0 ± 0.0"),
        ({"mean": 40, "std": None}, "40.0"),
        ({"mean": 40}, "40.0"),
        ({"mean": None, "std": None}, "–"),
        ({}, "–"),
        (None, "–"),
    ],
)
def test_mean_and_deviation(score, text):
    assert score_text(score) == text
