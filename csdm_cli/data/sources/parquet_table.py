"""The parquet files of one split as one table: labels whole, images piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from csdm_cli.data.sources import pixels
from csdm_cli.errors import CsdmError
from csdm_cli.storage.bounded import parsed_json

if TYPE_CHECKING:
    import pyarrow

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label")
BATCH = 256  # rows held coded at a time


@dataclass(frozen=True)
class Table:
    """Rows are counted from 0 over all files, in shard order."""

    files: tuple[Path, ...]

    @cached_property
    def image_column(self) -> str:
        """Name of the column of images."""
        return self._column(IMAGE_COLUMNS)

    @cached_property
    def label_column(self) -> str:
        """Name of the column of labels."""
        return self._column(LABEL_COLUMNS)

    @cached_property
    def labels(self) -> list[Any]:
        """One value per row: numbers or texts.

        Raises:
            CsdmError: if a row has none.
        """
        from pyarrow import parquet

        values: list[Any] = []
        for file in self.files:
            with _readable(file):
                own = parquet.read_table(file, columns=[self.label_column]).column(0).to_pylist()
            for row, value in enumerate(own):
                if not isinstance(value, (int, str)):
                    raise CsdmError(f"{file}, row {row}: the label is {value!r}, not a class number or name")
            values += own
        return values

    def class_names(self) -> tuple[str, ...] | None:
        """The names in the schema's metadata, as the datasets library writes them; None without."""
        raw = (self._schema().metadata or {}).get(b"huggingface", b"")
        try:
            names = parsed_json(raw)["info"]["features"][self.label_column]["names"]
            return tuple(str(name) for name in names)
        except (TypeError, KeyError, ValueError):
            return None

    def coded(self, rows: Sequence[int] | None = None) -> Iterator[tuple[int, bytes, str]]:
        """Row, coded image and a description of its place, for the distinct ``rows`` (None: all), in row order.

        Raises:
            CsdmError: if a row has no bytes, or a file is damaged.
        """
        from pyarrow import parquet

        wanted = None if rows is None else set(rows)
        start = 0
        for path in self.files:
            with _readable(path), parquet.ParquetFile(path) as file:
                first = start
                for group in range(file.num_row_groups):
                    length = file.metadata.row_group(group).num_rows
                    if wanted is None or not wanted.isdisjoint(range(start, start + length)):
                        batches = file.iter_batches(BATCH, row_groups=[group], columns=[self.image_column])
                        for row, data in _wanted_rows(batches, start, wanted):
                            where = f"{path}, row {row - first}"
                            if not data:
                                raise CsdmError(f"{where} holds no image bytes")
                            yield row, data, where
                    start += length

    def read(self, rows: Sequence[int], channels: int, size: int) -> Tensor:
        """Decode distinct ``rows`` to (len(rows), channels, size, size) uint8, in the order asked for."""
        images = torch.empty((len(rows), channels, size, size), dtype=torch.uint8)
        place_of = {row: place for place, row in enumerate(rows)}
        assert len(place_of) == len(rows)
        places: list[int] = []
        held: list[tuple[pixels.Coded, str]] = []
        for row, data, where in self.coded(rows):
            places.append(place_of[row])
            held.append((data, where))
            if len(held) == BATCH:
                images[places] = pixels.decode_all(held, channels, size)
                places, held = [], []
        if held:
            images[places] = pixels.decode_all(held, channels, size)
        return images

    def _schema(self) -> pyarrow.Schema:
        from pyarrow import parquet

        with _readable(self.files[0]):
            return parquet.read_schema(self.files[0])

    def _column(self, candidates: Sequence[str]) -> str:
        names = self._schema().names
        for candidate in candidates:
            if candidate in names:
                return candidate
        raise CsdmError(f"{self.files[0]} has no column {' or '.join(candidates)}; it has {', '.join(names)}")


def _wanted_rows(
    batches: Iterator[pyarrow.RecordBatch], start: int, wanted: set[int] | None
) -> Iterator[tuple[int, bytes | None]]:
    """Row number and bytes of the wanted rows of consecutive batches, the first of which begins at ``start``."""
    import pyarrow

    for batch in batches:
        column = batch.column(0)
        if pyarrow.types.is_struct(column.type):
            column = column.field("bytes")
        inside = [row for row in range(len(batch)) if wanted is None or start + row in wanted]
        for row, data in zip(inside, column.take(pyarrow.array(inside, pyarrow.int64())).to_pylist(), strict=True):
            yield start + row, data
        start += len(batch)


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Turn pyarrow's errors about ``file`` into one line."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:120]
        raise CsdmError(f"{file} is damaged or not a parquet file of images ({reason})") from error
