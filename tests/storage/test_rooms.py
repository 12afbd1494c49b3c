"""The one list of what decides a result, as a list; what it must hold is in tests/test_what_decides.py."""

from __future__ import annotations

import pytest

from csdm_cli.storage import rooms
from csdm_cli.storage.keys import source_hash
from tests.imports import PACKAGE

LISTS = {name: value for name, value in vars(rooms).items() if name.isupper()}


@pytest.mark.parametrize("name", LISTS)
def test_every_room_is_there_once(name):
    named = LISTS[name]
    assert len(set(named)) == len(named)
    assert not [place for place in named if not (PACKAGE / place).exists()]


def test_a_later_result_has_all_that_an_earlier_one_has():
    assert set(rooms.TEACHERS) < set(rooms.BANK) < set(rooms.DISTILLED)


def test_their_hashes_differ():
    assert len({source_hash(*named) for named in LISTS.values()}) == len(LISTS) == 5
