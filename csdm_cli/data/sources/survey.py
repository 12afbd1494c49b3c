"""The form that the images of a source get, from what their headers say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain

from csdm_cli.data.sources.pixels import Form, Header
from csdm_cli.data.sources.reading import Reading
from csdm_cli.errors import UsageError

FEW = 10  # images in colour that are looked for
RARE = 0.05  # share of images in colour that is worth a remark

Headers = Callable[[], Iterable[Header]]


def survey(train: Headers, test: Headers, reading: Reading) -> tuple[Form, tuple[str, ...]]:
    """The form that ``reading`` asks for, completed from the images themselves, and remarks for the user.

    Args:
        train, test: the headers of the images, read while they are iterated over.

    Raises:
        UsageError: if no size is asked for and the images differ in theirs.
    """
    channels, remarks = (reading.channels, ()) if reading.channels else channels_of(train())
    size = reading.size or common_side(chain(train(), test()))
    return Form(channels, size, reading.background, reading.upright), remarks


def channels_of(headers: Iterable[Header]) -> tuple[int, tuple[str, ...]]:
    """1 if every image is grey, else 3; with a remark if very few are in colour, which may be a mistake."""
    coloured: list[Header] = []
    count = 0
    for header in headers:
        count += 1
        coloured += [] if header.grey else [header]
        if len(coloured) == FEW:
            return 3, ()
    if coloured and len(coloured) <= RARE * count:
        return 3, (
            f"only {len(coloured)} of {count:,} training images are in colour ({coloured[0].where}), so all are read "
            "in colour; --channels 1 reads all as grey",
        )
    return (3 if coloured else 1), ()


def common_side(headers: Iterable[Header]) -> int:
    """The short side that all images share.

    Raises:
        UsageError: if they differ, because then only the user can say what size is wanted.
    """
    sides = iter(headers)
    first = next(sides).short_side
    if other := next((header for header in sides if header.short_side != first), None):
        raise UsageError(
            f"the images differ in size (short sides {first}, {other.short_side} in {other.where}, ...): "
            "choose one with --size"
        )
    return first
