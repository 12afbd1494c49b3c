"""The storage of a row's sets: as recorded, as it follows from their images and labels, or unknown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from csdm_cli.artifacts.accounting import Storage, storage_of
from csdm_cli.ledger.row import Row
from csdm_cli.ledger.storage import in_columns, in_short, storage_of_row
from csdm_cli.ledger.store import read_rows
from tests.artifacts.sets import make_set
from tests.ledger.rows import full_row, row

UNKNOWN = ("–", "–", "–")
RESULTS = Path(__file__).parents[2] / "results"
TRAJECTORIES = ("mtt", "ftd", "datm", "lad")
# Commits of rows from before a learned step size counted as storage.
UNCOUNTED = ("51ebc757f650fd2815e8c8ea0108d0b6789e58c9", "0cd9c4368d5089679499891bdd94dc251535efa3")


def recorded(own: Row, **told: object) -> Row:
    return replace(own, sets=tuple(replace(one, **told) for one in own.sets))


def unrecorded(own: Row) -> Row:
    return recorded(own, storage_bytes=None, stored_numbers=None, ipc_equivalent=None)


def changed(own: Row, **distill: object) -> Row:
    return replace(own, config=own.config | {"distill": own.config["distill"] | distill})


def test_what_was_recorded_is_told_whatever_the_settings_say():
    own = recorded(row(), storage_bytes=1_234, stored_numbers=560, ipc_equivalent=1.96)
    assert storage_of_row(own) == Storage(560, 1_234, 1.96)
    assert in_short(own) == "1.23 kB (2.0)" and in_columns(own) == ("560", "1,234", "1.96")


def test_images_and_hard_labels_by_hand():
    """Four classes of ten 3×32×32 images, an int64 each."""
    assert storage_of_row(row()) == Storage(122_880, 122_880 + 40 * 8, 10.0)
    assert in_short(row()) == "123 kB (10.0)"


@pytest.mark.parametrize("soft", [False, True])
def test_it_is_what_the_set_itself_counts(soft):
    made = make_set(classes=4, ipc=2, factor=2, soft=soft)
    own = replace(row(), ipc=2, network=row().network | {"size": made.images.shape[-1]})
    assert storage_of_row(changed(own, labels="soft" if soft else "hard")) == storage_of(made)


def test_it_is_what_the_ledger_recorded():
    """In every row that its record tells whole; sets of trajectories hold a learned step size too."""
    whole = [own for own in read_rows(RESULTS) if own.sets[0].ipc_equivalent is not None and not own.inherits]
    assert {own.labels for own in whole} == {"hard", "soft"}
    for own in whole:
        followed, told = storage_of_row(unrecorded(own)), storage_of_row(own)
        assert followed is not None and told is not None
        added = (told.numbers - followed.numbers, told.bytes - followed.bytes)
        assert added == ((1, 8) if own.method in TRAJECTORIES and own.code.commit not in UNCOUNTED else (0, 0))
        assert told.ipc_equivalent == pytest.approx(followed.ipc_equivalent * told.bytes / followed.bytes, rel=1e-4)


@pytest.mark.parametrize(
    "own",
    [
        full_row(),
        recorded(full_row(), storage_bytes=62_927_480),
        changed(row(), parameterization="frequency"),
        row(labels="teacher"),
        recorded(row(), storage_bytes=122_880 + 40 * 8 + 1),
    ],
    ids=["all images", "all images, recorded", "coefficients", "labelling teachers", "other bytes"],
)
def test_what_does_not_follow_is_not_told(own):
    assert storage_of_row(own) is None and in_short(own) == "–" and in_columns(own) == UNKNOWN


def test_older_rows_tell_their_bytes_alone():
    assert storage_of_row(recorded(row(), storage_bytes=122_880 + 40 * 8)) == storage_of_row(row())
