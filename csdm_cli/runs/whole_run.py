"""Whether the record beside a set tells what the whole set took, or the last part of a run that was resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from csdm_cli.methods import load, method_names

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from csdm_cli.artifacts.run_record import RunRecord


def whole_seconds(record: RunRecord | None, method: str | None, config: Mapping[str, Any]) -> float | None:
    """Time of the whole making of a set by ``method`` and ``config``; None if the record is lost or tells of a part.

    A record that does not tell its steps counts as whole; a method that builds its images at once takes none of those
    that its settings name.
    """
    if record is None:
        return None
    planned = (config.get("distill") or {}).get("iterations")
    if record.iterations is None or planned is None or record.iterations == planned:
        return record.wall_seconds
    iterates = method in method_names() and load(method).iterates
    return None if record.iterations or iterates else record.wall_seconds
