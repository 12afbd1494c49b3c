"""The storage of a row's sets, for tables: as it was recorded, or as it follows from a row's settings."""

from __future__ import annotations

from csdm_cli.artifacts.accounting import Storage
from csdm_cli.display.sizes import sized
from csdm_cli.ledger.row import Row
from csdm_cli.names import LabelKind, StoredLabels
from csdm_cli.parameterisations.parameterisation import Shape

STORED = "stored"  # bytes and IPC-equivalent in one column
STORAGE = ("numbers", "bytes", "IPC-equiv.")  # a column each
COUNTED = "images or other numbers and of labels"
AS_MANY = "8-bit images per class that take as many bytes, without hard labels"
WEIGHED = f"Bytes are those of {COUNTED}; IPC-equiv.: {AS_MANY}."
WEIGHED_SHORT = f'"{STORED}": the bytes of {COUNTED} (in brackets {AS_MANY}).'
CLASS_BYTES, PROBABILITY_BYTES = 8, 4  # an int64 for each stored image, a float32 for each class of a decoded one


def storage_of_row(row: Row) -> Storage | None:
    """The numbers and bytes of one of the row's sets.

    Rows of before it was recorded whole, and controls beside another set, hold 8-bit images and the labels that their
    settings name; where that is not the number of bytes that was recorded, nothing is known.

    Returns:
        None of all real images, and where neither record nor settings tell.
    """
    one = row.sets[0]
    if row.is_full_data:
        return None
    if one.stored_numbers is not None and one.storage_bytes is not None and one.ipc_equivalent is not None:
        return Storage(one.stored_numbers, one.storage_bytes, one.ipc_equivalent)
    if row.coded_as or row.labels == LabelKind.teacher:
        return None
    found = _of_images(row)
    return found if one.storage_bytes in (None, found.bytes) else None


def in_short(row: Row) -> str:
    """The cell under :data:`STORED`: ``308 kB (10.0)``."""
    found = storage_of_row(row)
    return "–" if found is None else f"{sized(found.bytes)} ({found.ipc_equivalent:.1f})"


def in_columns(row: Row) -> tuple[str, ...]:
    """The cells under :data:`STORAGE`."""
    found = storage_of_row(row)
    if found is None:
        return ("–",) * len(STORAGE)
    return f"{found.numbers:,}", f"{found.bytes:,}", f"{found.ipc_equivalent:.2f}"


def _of_images(row: Row) -> Storage:
    """That of 8-bit images, as many of each class, and of soft labels for all that they decode to, if there are any."""
    assert row.ipc is not None
    shape = Shape(len(row.data.counts), row.network["channels"], row.network["size"])
    images = shape.classes * row.ipc
    soft = row.config["distill"]["labels"] == StoredLabels.soft
    labels = images * row.factor**2 * shape.classes if soft else 0
    weight = images * shape.pixels + labels * PROBABILITY_BYTES
    numbers = images * shape.pixels + labels
    return Storage(numbers, weight + images * CLASS_BYTES, shape.ipc_equivalent(weight))
