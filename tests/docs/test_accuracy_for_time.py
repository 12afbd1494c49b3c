"""The table and the picture of accuracy for time say what results/time says."""

from __future__ import annotations

import accuracy_for_time
import pytest
from accuracy_for_time import Point, time_to
from PIL import Image


def test_the_page_and_its_picture_are_up_to_date():
    page, found = accuracy_for_time.PAGE.read_text(encoding="utf-8"), accuracy_for_time.curves()
    assert found.keys() == accuracy_for_time.NAMES.keys()
    assert accuracy_for_time.with_table(page, found) == page and "this engine" in page
    assert Image.open(accuracy_for_time.PICTURE).text["Description"] == accuracy_for_time.picture_key(found)


def test_the_time_to_an_accuracy_is_read_from_a_line_over_the_logarithm_of_time():
    points = [Point(1, 10.0, 40.0), Point(2, 40.0, 50.0), Point(3, 90.0, 49.0)]
    assert time_to(45.0, points) == pytest.approx(20.0)  # half-way between 10 and 40
    assert time_to(50.0, points) == pytest.approx(40.0)
    assert time_to(30.0, points) == 10.0
    assert time_to(51.0, points) is None
