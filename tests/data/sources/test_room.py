"""Whether images fit into memory."""

from __future__ import annotations

import pytest

from csdm_cli.data.sources import room
from csdm_cli.errors import UsageError


def test_what_does_not_fit_is_refused_with_both_sizes(monkeypatch):
    """2¹⁰ images of 3·2¹⁰·2¹⁰ bytes are 3 GiB."""
    shape = (2**10, 3, 2**10, 2**10)
    monkeypatch.setattr(room, "machine_memory", lambda: 3 * 2**30)
    room.refuse_without_room(shape)
    monkeypatch.setattr(room, "machine_memory", lambda: 3 * 2**30 - 1)
    with pytest.raises(UsageError, match=r"1,024 images of 1024x1024 take 3\.0 GiB of memory, this machine has 3\.0"):
        room.refuse_without_room(shape)


def test_where_the_system_does_not_tell_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(room.os, "sysconf", lambda name: (_ for _ in ()).throw(ValueError(name)))
    assert room.machine_memory() is None
    room.refuse_without_room((10**12, 3, 1000, 1000))
