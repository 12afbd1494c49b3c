"""Images that cannot be read are told in one message."""

from __future__ import annotations

import pytest

from csdm_cli.data.sources.unreadable import NAMED, UnreadableImageError, refuse_unreadable
from csdm_cli.errors import MISTAKE, CsdmError


def faults(count):
    return [UnreadableImageError(f"{number}.png is empty") for number in range(count)]


def test_one_is_told_in_one_line_and_none_is_fine():
    refuse_unreadable([])
    with pytest.raises(UnreadableImageError) as error:
        refuse_unreadable(faults(1))
    assert str(error.value) == "0.png is empty: remove or replace it"


@pytest.mark.parametrize(("count", "more"), [(NAMED, []), (1000 + NAMED, ["and 1,000 more"])])
def test_of_several_the_first_have_a_line_each(count, more):
    with pytest.raises(CsdmError) as error:
        refuse_unreadable(faults(count))
    first, *others = str(error.value).split(MISTAKE)
    assert first == f"{count:,} images cannot be read: remove or replace them"
    assert others == [f"{number}.png is empty" for number in range(NAMED)] + more
