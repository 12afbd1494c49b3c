"""The parquet files of one split as one table: labels whole, images piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from csdm_cli.data.sources import labels, parquet_columns, pixels
from csdm_cli.data.sources.parquet_columns import Cells
from csdm_cli.errors import CsdmError, reason_of
from csdm_cli.safe_text import shown

if TYPE_CHECKING:
    import pyarrow
    from numpy.typing import NDArray

BATCH = 256  # rows held coded at a time


@dataclass(frozen=True)
class Table:
    """Rows are counted from 0 over all files, in shard order.

    Attributes:
        files: the files of the split.
        asked_image, asked_label: the columns asked for; None takes the usual names.
    """

    files: tuple[Path, ...]
    asked_image: str | None = None
    asked_label: str | None = None

    @cached_property
    def image_column(self) -> str:
        """Name of the column of images."""
        return parquet_columns.image_column(self.files[0], _schema(self.files[0]), self.asked_image)

    @cached_property
    def label_column(self) -> str:
        """Name of the column of labels."""
        return parquet_columns.label_column(self.files[0], _schema(self.files[0]), self.asked_label)

    @cached_property
    def _cells(self) -> tuple[Cells, ...]:
        return tuple(parquet_columns.image_cells(file, _schema(file), self.image_column) for file in self.files)

    @cached_property
    def labels(self) -> list[labels.Label]:
        """One value per row: numbers alone, or texts alone.

        Raises:
            CsdmError: if a row has neither, both kinds are mixed, or there is no row.
        """
        from pyarrow import parquet

        values: list[labels.Label] = []
        for file in self.files:
            with _readable(file):
                own = parquet.read_table(file, columns=[self.label_column]).column(0).to_pylist()
            values += [labels.clean(value, f"{file}, row {row}") for row, value in enumerate(own)]
        if not values:
            raise CsdmError(f"{self.files[0]} has no rows")
        labels.refuse_mixed(values, self.place)
        return values

    def place(self, row: int) -> str:
        """File and row within it, for messages."""
        from pyarrow import parquet

        for file in self.files:
            with _readable(file):
                length = parquet.read_metadata(file).num_rows
            if row < length:
                return f"{file}, row {row}"
            row -= length
        raise IndexError(row)

    def class_names(self) -> tuple[str, ...] | None:
        """The names in the files' metadata; None where no file has any.

        Raises:
            CsdmError: if the files have different ones: their numbers would then mean different classes.
        """
        found: tuple[str, ...] | None = None
        for file in self.files:
            own = parquet_columns.class_names(file, _schema(file), self.label_column)
            if own and found and own != found:
                raise CsdmError(f"{file} has other class names than {self.files[0]}: their labels cannot be joined")
            found = found or own
        return found

    def coded(self, rows: Sequence[int] | None = None) -> Iterator[tuple[int, pixels.Coded, str]]:
        """Row, image and a description of its place, for the distinct ``rows`` (None: all), in row order.

        Raises:
            CsdmError: if the column or a row has no image, or a file is damaged.
        """
        from pyarrow import parquet

        wanted = None if rows is None else set(rows)
        start = 0
        for path, cells in zip(self.files, self._cells, strict=True):
            with _readable(path), parquet.ParquetFile(path) as file:
                first = start
                for group in range(file.num_row_groups):
                    length = file.metadata.row_group(group).num_rows
                    if wanted is None or not wanted.isdisjoint(range(start, start + length)):
                        batches = file.iter_batches(BATCH, row_groups=[group], columns=[self.image_column])
                        for row, cell in _wanted_rows(batches, start, wanted):
                            where = f"{path}, row {row - first}"
                            yield row, _image(cell, cells, where), where
                    start += length

    def headers(self) -> Iterator[pixels.Header]:
        """The header of each image, in row order."""
        return (pixels.read_header(data, where) for _, data, where in self.coded())

    def read(self, rows: Sequence[int], form: pixels.Form) -> Tensor:
        """Decode distinct ``rows`` to (len(rows), channels, size, size) uint8, in the order asked for."""
        images = pixels.room_for(len(rows), form)
        place_of = {row: place for place, row in enumerate(rows)}
        assert len(place_of) == len(rows)
        places: list[int] = []
        held: list[tuple[pixels.Coded, str]] = []
        for row, data, where in self.coded(rows):
            places.append(place_of[row])
            held.append((data, where))
            if len(held) == BATCH:
                images[places] = pixels.decode_all(held, form)
                places, held = [], []
        if held:
            images[places] = pixels.decode_all(held, form)
        return images


def _schema(file: Path) -> pyarrow.Schema:
    from pyarrow import parquet

    with _readable(file):
        return parquet.read_schema(file)


def _wanted_rows(
    batches: Iterator[pyarrow.RecordBatch], start: int, wanted: set[int] | None
) -> Iterator[tuple[int, Any]]:
    """Row number and cell of the wanted rows of consecutive batches, the first of which begins at ``start``."""
    import pyarrow

    for batch in batches:
        column = batch.column(0)
        if pyarrow.types.is_struct(column.type):
            column = column.field("bytes")
        inside = [row for row in range(len(batch)) if wanted is None or start + row in wanted]
        for row, cell in zip(inside, column.take(pyarrow.array(inside, pyarrow.int64())).to_pylist(), strict=True):
            yield start + row, cell
        start += len(batch)


def _image(cell: Any, cells: Cells, where: str) -> pixels.Coded:
    if not cell:
        raise CsdmError(f"{where} holds no image bytes")
    return _pixels(cell, where) if cells is Cells.pixels else cell


def _pixels(cell: list[Any], where: str) -> NDArray[np.uint8]:
    """Nested lists as (height, width) or (height, width, 3) uint8."""
    wanted = "lists of height x width or height x width x 3 numbers from 0 to 255"
    try:
        values = np.array(cell)
    except (ValueError, OverflowError):
        raise CsdmError(f"{where} holds rows of unequal length (expected {wanted})") from None
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.dtype.kind not in "iu" or values.ndim < 2 or not values.size or values.shape[2:] not in ((), (3,)):
        shape = " x ".join(map(str, values.shape))
        raise CsdmError(f"{where} holds {shape} values of {values.dtype} (expected {wanted})")
    if values.min() < 0 or values.max() > 255:
        raise CsdmError(f"{where} holds numbers from {values.min()} to {values.max()} (expected {wanted})")
    return values.astype(np.uint8)


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Turn pyarrow's errors about ``file`` into one line."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        reason = shown(reason_of(error), most=120)
        raise CsdmError(f"{file} is damaged or not a parquet file of images ({reason})") from error
