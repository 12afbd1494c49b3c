"""Images that cannot be read, told all at once, for they are removed or replaced by hand."""

from __future__ import annotations

from collections.abc import Sequence

from csdm_cli.errors import MISTAKE, CsdmError

NAMED = 5  # images


class UnreadableImageError(CsdmError):
    """One image that cannot be used.

    Attributes:
        fault: its place, and what is wrong with it.
    """

    def __init__(self, fault: str) -> None:
        super().__init__(f"{fault}: remove or replace it")
        self.fault = fault


def refuse_unreadable(found: Sequence[UnreadableImageError]) -> None:
    """Refuse the images ``found`` unreadable, if any.

    Raises:
        CsdmError: that of the only one; of several, how many they are and the first :data:`NAMED` of them, a line each.
    """
    if len(found) == 1:
        raise found[0]
    if found:
        several = f"{len(found):,} images cannot be read: remove or replace them"
        more = [f"and {len(found) - NAMED:,} more"] if len(found) > NAMED else []
        raise CsdmError(MISTAKE.join([several, *(one.fault for one in found[:NAMED]), *more]))
