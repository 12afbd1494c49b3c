"""The form of a source's images, from their headers."""

from __future__ import annotations

import pytest

from csdm_cli.data.sources.pixels import Header
from csdm_cli.data.sources.reading import Reading
from csdm_cli.data.sources.survey import FEW, channels_of, common_side, survey
from csdm_cli.errors import UsageError


def headers(count: int, coloured: int = 0, side: int = 8) -> list[Header]:
    return [Header(number >= coloured, side, f"image {number}") for number in range(count)]


def test_grey_only_where_all_images_are():
    assert channels_of(headers(5)) == (1, ())
    assert channels_of(headers(5, coloured=1)) == (3, ())
    assert channels_of(headers(1000, coloured=FEW)) == (3, ())


def test_very_few_images_in_colour_are_remarked():
    channels, (remark,) = channels_of(headers(100, coloured=2))
    assert channels == 3 and all(word in remark for word in ("2 of 100", "image 0", "--channels 1"))


def test_no_more_headers_are_read_than_it_takes():
    read = iter(headers(1000, coloured=1000))
    channels_of(read)
    assert len(list(read)) == 1000 - FEW


def test_the_side_is_the_images_own_if_they_share_it():
    assert common_side(headers(3, side=9)) == 9
    with pytest.raises(UsageError, match=r"8, 9 in image 0.*--size"):
        common_side([*headers(2), *headers(1, side=9)])


def test_what_is_asked_for_is_not_looked_for():
    def fail():
        raise AssertionError("read")

    form, remarks = survey(fail, fail, Reading(size=4, channels=1, upright=True))
    assert (form.channels, form.size, form.upright, remarks) == (1, 4, True, ())
    form, _ = survey(lambda: headers(2), lambda: headers(1), Reading(background=(1, 2, 3)))
    assert (form.channels, form.size, form.background) == (1, 8, (1, 2, 3))
