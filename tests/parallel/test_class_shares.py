"""Shares cover every class once, in the chunks of a single process."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from csdm_cli.parallel.class_shares import ClassShare, share_of


@given(classes=st.integers(1, 60), chunk=st.integers(1, 20), world=st.integers(1, 12))
def test_shares_are_the_canonical_chunks_dealt_out(classes, chunk, world):
    chunk = min(chunk, classes)
    shares = [share_of(rank, world, classes, chunk) for rank in range(world)]
    canonical = [(first, min(first + chunk, classes)) for first in range(0, classes, chunk)]
    assert [piece for share in shares for piece in share.chunks] == canonical
    assert len(shares[0]) > 0, "rank 0 has the names of the loss terms"
    # no share is more than one chunk away from the even one
    assert all(len(share) <= classes / world + chunk for share in shares)


def test_shares_of_ten_classes_are_as_even_as_whole_chunks_allow():
    sizes = {world: [len(share_of(rank, world, 10, 3)) for rank in range(world)] for world in (1, 2, 3, 4)}
    assert sizes == {1: [10], 2: [6, 4], 3: [3, 3, 4], 4: [3, 3, 3, 1]}


def test_units_are_kept_together_where_chunks_are_not():
    shares = [share_of(rank, 3, 10, 4, unit=1) for rank in range(3)]
    assert [(share.first, share.last) for share in shares] == [(0, 3), (3, 7), (7, 10)]
    assert shares[1].chunks == ((3, 7),)


def test_files_of_shares_have_names_of_their_own():
    names = {share_of(rank, world, 10, chunk).name for rank in (0, 1) for world in (2, 3) for chunk in (2, 5)}
    assert len(names) == 8
    assert ClassShare(1, 2, 5, 10, 5).name.endswith(ClassShare(0, 2, 0, 5, 5).division)
