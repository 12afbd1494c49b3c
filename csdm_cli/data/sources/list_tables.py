"""Tables that name images and their labels: csv, tsv, or a record in json on each line.

Columns are told by their names; where these are none of the usual ones, by what they hold.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from csdm_cli.data.sources.found_files import is_image_name
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.safe_text import shown
from csdm_cli.storage.bounded import parsed_json

TABLES = (".csv", ".tsv")
RECORDS = ".jsonl"
PATH_COLUMNS = (
    *("path", "file", "filename", "file_name", "filepath", "file_path", "image_path", "img_path", "image", "img"),
    *("image_name", "image_id", "id", "id_code"),
)
LABEL_COLUMNS = ("label", "labels", "classid", "class_id", "class", "category", "category_id", "target")
SPLIT_COLUMNS = ("split", "set", "subset", "partition", "phase")
MISSING = ("", "nan")  # the latter as Pandas has it
TRAINING = ("train", "training")
TESTS = (("test", "testing"), ("val", "valid", "validation", "dev", "eval"))  # the first that is there
SPLITS = (*TRAINING, *(word for words in TESTS for word in words))


@dataclass(frozen=True)
class Entry:
    """One image of a list: its path, label and split as written, if it tells one, and where that stands."""

    path: str
    label: str
    place: str
    split: str | None = None


@dataclass(frozen=True)
class _Table:
    """Cells by row and column, with the place of each row.

    Attributes:
        names: names of the columns; their numbers from 1, where the table does not name them.
        name: the file's, for messages.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    places: tuple[str, ...]
    name: str

    def named(self, usual: Sequence[str]) -> int | None:
        """The column called by the first of the ``usual`` names that is there."""
        small = [name.lower() for name in self.names]
        return next((small.index(name) for name in usual if name in small), None)

    def values(self, column: int) -> list[str]:
        """The cells of a column."""
        return [row[column] for row in self.rows]


def read_table(text: str, suffix: str, name: str, image_column: str | None, label_column: str | None) -> list[Entry]:
    """The images of a table.

    Args:
        text: the table.
        suffix: the ending of its file, which tells how it is written.
        name: its file's name, for messages.
        image_column, label_column: the columns asked for; None finds them.

    Raises:
        UsageError: if a column is missing, or cannot be told from others.
        CsdmError: if it is no table, or a cell is empty.
    """
    table = _of_records(_lines_of_json(text, name), name) if suffix == RECORDS else _of_csv(text, name)
    return _entries(table, image_column, label_column)


def _entries(table: _Table, image_column: str | None, label_column: str | None) -> list[Entry]:
    if not table.rows:
        return []
    path = _path_column(table, image_column)
    labels = _labels(table, path, label_column)
    split = _splits(table)
    entries = []
    for row, (cells, label, place) in enumerate(zip(table.rows, labels, table.places, strict=True)):
        for what, cell in (("path", cells[path]), ("label", label)):
            if cell.lower() in MISSING:
                raise CsdmError(f"{table.name}, {place}: no {what}")
        entries.append(Entry(cells[path], label, place, split[row] if split else None))
    return entries


def _of_csv(text: str, name: str) -> _Table:
    lines = text.splitlines()
    if not lines:
        return _Table((), (), (), name)
    reader = csv.reader(lines, delimiter=max(",;\t", key=lines[0].count))
    rows, places = [], []
    try:
        names = [cell.strip() for cell in next(reader)]
        if any(map(is_image_name, names)):  # an image already: the columns have no names
            rows, places = [tuple(names)], ["line 1"]
            names = [str(number) for number in range(1, len(names) + 1)]
        for row in reader:
            if row and len(row) != len(names):
                raise CsdmError(f"{name}, line {reader.line_num}: {len(row)} columns, not {len(names)}")
            if row:
                rows.append(tuple(cell.strip() for cell in row))
                places.append(f"line {reader.line_num}")
    except csv.Error as error:
        why = f"no cell has more than {csv.field_size_limit():,} characters, unless a quote is not closed"
        raise CsdmError(f"{name}, line {reader.line_num}: not a table ({why})") from error
    return _Table(tuple(names), tuple(rows), tuple(places), name)


def _lines_of_json(text: str, name: str) -> Iterator[tuple[Any, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield parsed_json(line.encode(errors="surrogateescape")), f"line {number}"
            except ValueError as error:
                raise CsdmError(f"{name}, line {number}: not a record in json") from error


def _of_records(found: Iterator[tuple[Any, str]], name: str) -> _Table:
    names: tuple[str, ...] = ()
    rows, places = [], []
    for record, place in found:
        if not isinstance(record, Mapping):
            raise CsdmError(f"{name}, {place}: not a record with a path and a label")
        names = names or tuple(record)
        if tuple(record) != names:
            raise CsdmError(f"{name}, {place}: other columns than the first record's, {shown(', '.join(names))}")
        plain = (value if isinstance(value, str | int | float) else "" for value in record.values())
        rows.append(tuple(str(value).strip() for value in plain))
        places.append(place)
    return _Table(tuple(map(str, names)), tuple(rows), tuple(places), name)


def _path_column(table: _Table, asked: str | None) -> int:
    found = table.named([asked.lower()] if asked else PATH_COLUMNS)
    if found is None and asked is None:
        found = _only([column for column, cell in enumerate(table.rows[0]) if is_image_name(cell)])
    if found is None:
        raise _missing(table, asked, PATH_COLUMNS, "image")
    return found


def _labels(table: _Table, path: int, asked: str | None) -> list[str]:
    """The label of each row: a column of the usual name, the only other one, or the name of the column of its 1."""
    found = table.named([asked.lower()] if asked else LABEL_COLUMNS)
    if found is None and asked is None:
        others = [column for column, name in enumerate(table.names) if column != path and name]
        if len(others) > 1 and (chosen := _one_hot(table, others)):
            return [table.names[column] for column in chosen]
        found = _only(others)
    if found is None:
        raise _missing(table, asked, LABEL_COLUMNS, "label")
    return table.values(found)


def _one_hot(table: _Table, columns: Sequence[int]) -> list[int] | None:
    """The column of each row's 1, if all its other ``columns`` are 0 (ISIC); else None."""
    chosen = []
    for row in table.rows:
        try:
            values = [float(row[column]) for column in columns]
        except ValueError:
            return None
        if sorted(values) != [0.0] * (len(values) - 1) + [1.0]:
            return None
        chosen.append(columns[values.index(1.0)])
    return chosen


def _splits(table: _Table) -> list[str] | None:
    """The split of each row, if a column of a usual name holds splits alone."""
    column = table.named(SPLIT_COLUMNS)
    values = [value.lower() for value in table.values(column)] if column is not None else []
    return values if values and set(values) <= set(SPLITS) else None


def _only(columns: Sequence[int]) -> int | None:
    return columns[0] if len(columns) == 1 else None


def _missing(table: _Table, asked: str | None, usual: Sequence[str], what: str) -> UsageError:
    wanted, there = shown(asked or " or ".join(usual[:3])), shown(", ".join(table.names))
    return UsageError(f"{table.name} has no column {wanted}; it has {there}: choose one with --{what}-column")


def training_part(entries: Sequence[Entry]) -> list[Entry]:
    """The entries of the training set; all of them where no splits are told."""
    return [entry for entry in entries if entry.split is None or entry.split in TRAINING]


def test_part(entries: Sequence[Entry]) -> list[Entry]:
    """The entries of the test set, or of the validation set without one; none where no splits are told."""
    parts = ([entry for entry in entries if entry.split in words] for words in TESTS)
    return next((part for part in parts if part), [])
