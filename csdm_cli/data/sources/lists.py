"""Lists of images and labels: csv with a path and a label column, lines of "path label", or annotations in json.

Lines are what ImageNet-LT and Places-LT have, json is iNaturalist's and COCO's. Only files inside the data's
own folder are opened, whatever a list names.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from csdm_cli.data.sources import folder, labels
from csdm_cli.data.sources.annotations import SUFFIX, read_annotations
from csdm_cli.data.sources.folder import LabelledFiles
from csdm_cli.data.sources.found_files import SUFFIXES
from csdm_cli.data.sources.labels import Classes, Label
from csdm_cli.data.sources.raw import RawDataset
from csdm_cli.data.sources.reading import Reading
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.safe_text import shown

TABLES = (".csv", ".tsv")
PATH_COLUMNS = ("path", "file", "filename", "file_name", "filepath", "image_path", "image", "img", "image_id", "id")
LABEL_COLUMNS = ("label", "labels", "classid", "class_id", "class", "category", "category_id", "target")
UNWRITTEN = (".jpg", ".jpeg", ".png")  # endings that lists of ids leave out


@dataclass(frozen=True)
class Entry:
    """One image of a list: its path and label as written, and where that stands."""

    path: str
    label: str
    place: str


@dataclass(frozen=True)
class Listed:
    """The images of one list, in its order; ``place`` tells list and line of one."""

    files: tuple[Path, ...]
    labels: tuple[Label, ...]
    place: Callable[[int], str]


def load(data_dir: Path, reading: Reading) -> RawDataset:
    """Open images that lists name. Without a training list the class folders are the training set.

    Raises:
        CsdmError: if a list or an image is missing, a path leads out of ``data_dir``, or labels do not fit together.
        UsageError: if columns are missing, or no size is asked for and the images differ in theirs.
    """
    own = [_found(data_dir, file) for file in (reading.train_list, reading.test_list) if file]
    test = read(own[-1], data_dir, reading) if reading.test_list else None
    if reading.train_list:
        train = read(own[0], data_dir, reading)
        labels.refuse_mixed(train.labels, train.place)
        classes = labels.found_in(train.labels, train.place)
        files = LabelledFiles(train.files, tuple(classes.numbers(train.labels, train.place).tolist()))
    else:
        assert test is not None
        files, names = folder.training_files(data_dir)
        classes = labels.named(names, texts=isinstance(test.labels[0], str))
    raw = folder.from_files(data_dir, files, _labelled(test, classes), tuple(map(shown, classes.names)), reading)
    digest = hashlib.sha256(raw.fingerprint.encode())
    for file in own:
        digest.update(file.read_bytes())
    return replace(raw, origin="image list", fingerprint=digest.hexdigest())


def read(file: Path, data_dir: Path, reading: Reading) -> Listed:
    """The images and labels of one list.

    Raises:
        CsdmError, UsageError: as :func:`load`.
    """
    try:
        text = file.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise CsdmError(f"{shown(file)}: {error.strerror or error}") from error
    entries = _entries(text, file, reading)
    if not entries:
        raise CsdmError(f"{shown(file)} lists no images")

    def place(row: int) -> str:
        return f"{shown(file)}, {entries[row].place}"

    files = tuple(_inside(data_dir, file, entry.path, place(row)) for row, entry in enumerate(entries))
    return Listed(files, _labels([entry.label for entry in entries]), place)


def _entries(text: str, file: Path, reading: Reading) -> list[Entry]:
    suffix = file.suffix.lower()
    if suffix == SUFFIX:
        pairs = read_annotations(text, shown(file))
        return [Entry(path, label, f"image {row}") for row, (path, label) in enumerate(pairs)]
    return _table(text, file, reading) if suffix in TABLES else _lines(text, file)


def _labelled(listed: Listed | None, classes: Classes) -> LabelledFiles | None:
    if listed is None:
        return None
    labels.refuse_mixed(listed.labels, listed.place, like=next(iter(classes.number_of)))
    return LabelledFiles(listed.files, tuple(classes.numbers(listed.labels, listed.place).tolist()))


def _found(data_dir: Path, file: Path) -> Path:
    """The list itself, or the one of this name in the data's folder."""
    return file if file.exists() or not (data_dir / file).exists() else data_dir / file


def _lines(text: str, file: Path) -> list[Entry]:
    """One "path label" per line; a path may hold spaces."""
    entries = []
    for number, line in enumerate(text.split("\n"), start=1):
        parts = line.strip().rsplit(maxsplit=1)
        if len(parts) == 1:
            raise CsdmError(f"{shown(file)}, line {number}: expected a path and a label, got {shown(line, most=60)}")
        entries += [Entry(parts[0], parts[1], f"line {number}")] if parts else []
    return entries


def _table(text: str, file: Path, reading: Reading) -> list[Entry]:
    """A table whose first line names its columns."""
    lines = text.splitlines()
    if not lines:
        return []
    rows = csv.reader(lines, delimiter=max(",;\t", key=lines[0].count))
    try:
        header = [name.strip() for name in next(rows)]
        path, label = (
            _column(header, asked, usual, what, file)
            for asked, usual, what in (
                (reading.image_column, PATH_COLUMNS, "image"),
                (reading.label_column, LABEL_COLUMNS, "label"),
            )
        )
        entries = []
        for row in rows:
            if len(row) == len(header):
                entries.append(Entry(row[path].strip(), row[label].strip(), f"line {rows.line_num}"))
            elif row:
                raise CsdmError(f"{shown(file)}, line {rows.line_num}: {len(row)} columns, not {len(header)}")
    except csv.Error as error:
        raise CsdmError(f"{shown(file)}, line {rows.line_num}: not a table ({error})") from error
    return entries


def _column(header: Sequence[str], asked: str | None, usual: Sequence[str], what: str, file: Path) -> int:
    small = [name.lower() for name in header]
    found = next((name for name in ([asked.lower()] if asked else usual) if name in small), None)
    if found is None:
        raise UsageError(
            f"{shown(file)} has no column {shown(asked or ' or '.join(usual[:3]))}; it has {shown(', '.join(header))}: "
            f"choose one with --{what}-column"
        )
    return small.index(found)


def _labels(texts: Sequence[str]) -> tuple[Label, ...]:
    """Numbers if all are whole, else the texts themselves."""
    try:
        values = [float(text) for text in texts]
        if all(value == int(value) for value in values):
            return tuple(int(value) for value in values)
    except (ValueError, OverflowError):
        pass
    return tuple(texts)


def _inside(data_dir: Path, file: Path, path: str, where: str) -> Path:
    """The image file that a list names: below the data's folder, beside the list, or in the folder named as the list.

    Raises:
        CsdmError: if it is nowhere there.
    """
    endings = ("",) if Path(path).suffix.lower() in SUFFIXES else UNWRITTEN
    for base in (data_dir, file.parent, file.parent / file.stem):
        for ending in endings:
            place = Path(os.path.normpath(base / f"{path}{ending}"))
            if place.is_relative_to(os.path.normpath(data_dir)) and "\0" not in path and place.is_file():
                return data_dir / place.relative_to(os.path.normpath(data_dir))
    raise CsdmError(f"{where}: {shown(path, most=120)} is no image file in {shown(data_dir)}")
