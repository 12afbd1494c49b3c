"""Sizes have three digits, and their prefix those of the rounded number."""

from __future__ import annotations

import pytest

from csdm_cli.display.sizes import sized


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (308_000, "308 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (1_229_600, "1.23 MB"),
        (62_927_480, "62.9 MB"),
        (5_000_000_000, "5 GB"),
    ],
)
def test_bytes(count, text):
    assert sized(count) == text


def test_other_counts_have_no_unit():
    assert (sized(311_200, ""), sized(960, "")) == ("311 k", "960")
