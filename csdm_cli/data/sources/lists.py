"""Lists of images and labels: tables with a path and a label column, lines of "path label", or annotations in json.

Lines are what ImageNet-LT and Places-LT have, json is iNaturalist's and COCO's. Only files inside the data's
own folder are opened, whatever a list names. An image that a list names again is taken once.
"""

from __future__ import annotations

import codecs
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from csdm_cli.data.sources import folder, labels
from csdm_cli.data.sources.annotations import SUFFIX, read_annotations
from csdm_cli.data.sources.folder import LabelledFiles
from csdm_cli.data.sources.found_files import is_image_name
from csdm_cli.data.sources.labels import Classes, Label
from csdm_cli.data.sources.list_tables import RECORDS, TABLES, Entry, read_table, test_part, training_part
from csdm_cli.data.sources.raw import RawDataset
from csdm_cli.data.sources.reading import Reading
from csdm_cli.errors import CsdmError
from csdm_cli.safe_text import counted, shown

UNWRITTEN = (".jpg", ".jpeg", ".png")  # endings that lists of ids leave out
PLAIN = {"encoding": "utf-8-sig", "errors": "surrogateescape"}
WIDE = {"encoding": "utf-16", "errors": "replace"}  # as spreadsheets write "Unicode text"


@dataclass(frozen=True)
class Listed:
    """The images of one list, in its order.

    Attributes:
        place: list and line of an image.
        again: how many lines name an image that one before them names.
    """

    files: tuple[Path, ...]
    labels: tuple[Label, ...]
    place: Callable[[int], str]
    again: int


def load(data_dir: Path, reading: Reading) -> RawDataset:
    """Open images that lists name. Without a training list the class folders are the training set.

    A table may tell the split of its images: the training list's test images are the test set, without a test list.

    Raises:
        CsdmError: if a list or an image is missing, a path leads out of ``data_dir``, or labels do not fit together.
        UsageError: if columns are missing, or no size is asked for and the images differ in theirs.
    """
    own = [_found(data_dir, file) for file in (reading.train_list, reading.test_list) if file]
    listed = [_read(file, reading) for file in own]
    test = _test_of(own[-1], listed[-1], data_dir, alone=bool(reading.test_list))
    if reading.train_list:
        train = _resolved(own[0], training_part(listed[0]), data_dir)
        labels.refuse_mixed(train.labels, train.place)
        classes = labels.found_in(train.labels, train.place)
        files = LabelledFiles(train.files, tuple(classes.numbers(train.labels, train.place).tolist()))
    else:
        assert test is not None
        files, names = folder.training_files(data_dir)
        classes = labels.named(names, texts=isinstance(test.labels[0], str))
        train = None
    raw = folder.from_files(data_dir, files, _labelled(test, classes), tuple(map(shown, classes.names)), reading)
    digest = hashlib.sha256(raw.fingerprint.encode())
    for file in own:
        digest.update(file.read_bytes())
    told = _remarks(files.files, test, [one for one in (train, test) if one])
    return replace(raw, origin="image list", fingerprint=digest.hexdigest(), remarks=raw.remarks + told)


def _test_of(file: Path, entries: Sequence[Entry], data_dir: Path, *, alone: bool) -> Listed | None:
    """The test images of a list; all of a list that is for them ``alone``, unless it tells splits."""
    part = test_part(entries) or (entries if alone else ())
    return _resolved(file, part, data_dir) if part else None


def _remarks(train: Sequence[Path], test: Listed | None, listed: Sequence[Listed]) -> tuple[str, ...]:
    told = []
    if again := sum(one.again for one in listed):
        told.append(f"{counted(again, 'line')} of the lists named an image once more: each was taken once")
    if both := len(set(train) & set(test.files)) if test else 0:
        told.append(f"warning: {counted(both, 'image')} of the training set in the test set as well")
    return tuple(told)


def _read(file: Path, reading: Reading) -> list[Entry]:
    """All that a list names."""
    try:
        with file.open("rb") as opened:
            wide = opened.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        text = file.read_text(**(WIDE if wide else PLAIN))
    except OSError as error:
        raise CsdmError(f"{shown(file)}: {error.strerror or error}") from error
    suffix = file.suffix.lower()
    if suffix == SUFFIX:
        pairs = read_annotations(text, shown(file))
        entries = [Entry(path, label, f"image {row}") for row, (path, label) in enumerate(pairs)]
    elif suffix in (*TABLES, RECORDS):
        entries = read_table(text, suffix, shown(file), reading.image_column, reading.label_column)
    else:
        entries = _lines(text, file)
    if not entries:
        raise CsdmError(f"{shown(file)} lists no images")
    return entries


def _resolved(file: Path, entries: Sequence[Entry], data_dir: Path) -> Listed:
    """The files and labels of ``entries``.

    Raises:
        CsdmError: if a file is missing, or has two labels.
    """
    if not entries:
        raise CsdmError(f"{shown(file)} lists no training images")
    written = _labels([entry.label for entry in entries])
    rows: dict[Path, int] = {}
    roots = (_absolute(data_dir), os.path.realpath(data_dir))
    for row, entry in enumerate(entries):
        place = f"{shown(file)}, {entry.place}"
        first = rows.setdefault(_inside(data_dir, roots, file, entry.path, place), row)
        if written[first] != written[row]:
            both = f"{shown(entries[first].label, most=60)} and {shown(entry.label, most=60)}"
            raise CsdmError(f"{place}: {shown(entry.path, most=120)} is {both}, but an image has one class here")
    kept = list(rows.values())

    def place_of(row: int) -> str:
        return f"{shown(file)}, {entries[kept[row]].place}"

    return Listed(tuple(rows), tuple(written[row] for row in kept), place_of, len(entries) - len(kept))


def _labelled(listed: Listed | None, classes: Classes) -> LabelledFiles | None:
    if listed is None:
        return None
    labels.refuse_mixed(listed.labels, listed.place, like=next(iter(classes.number_of)))
    numbers = classes.numbers(listed.labels, listed.place, "leave the image out, or add training images of that class")
    return LabelledFiles(listed.files, tuple(numbers.tolist()))


def _found(data_dir: Path, file: Path) -> Path:
    """The list itself, or the one of this name in the data's folder."""
    return file if file.exists() or not (data_dir / file).exists() else data_dir / file


def _lines(text: str, file: Path) -> list[Entry]:
    """One "path label" per line, or "path,label"; a path may hold spaces."""
    entries = []
    for number, line in enumerate(text.split("\n"), start=1):
        parts = line.strip().rsplit(maxsplit=1)
        if parts and not is_image_name(parts[0]):
            by_comma = [part.strip() for part in line.strip().rsplit(",", 1)]
            parts = by_comma if len(by_comma) == 2 and is_image_name(by_comma[0]) else parts
        if len(parts) == 1:
            raise CsdmError(f"{shown(file)}, line {number}: expected a path and a label, got {shown(line, most=60)}")
        entries += [Entry(parts[0], parts[1], f"line {number}")] if parts else []
    return entries


def _labels(texts: Sequence[str]) -> tuple[Label, ...]:
    """Numbers if all are whole, else the texts themselves."""
    try:
        values = [float(text) for text in texts]
        if all(value == int(value) for value in values):
            return tuple(int(value) for value in values)
    except (ValueError, OverflowError):
        pass
    return tuple(texts)


def _inside(data_dir: Path, roots: Sequence[str], file: Path, path: str, where: str) -> Path:
    """The image file that a list names: below the data's folder, beside the list, or in the folder named as the list.

    Raises:
        CsdmError: if it is nowhere there; ``roots`` are the data's folder as it may be written.
    """
    endings = ("",) if is_image_name(path) else UNWRITTEN
    plain = path.replace("\\", "/")  # as Windows writes it
    for written in dict.fromkeys((path, plain, plain.lstrip("/"))):  # some begin at the data's folder with a slash
        for base in (data_dir, file.parent, file.parent / file.stem):
            for ending in endings:
                place = Path(_absolute(base / f"{written}{ending}"))
                root = next((root for root in roots if place.is_relative_to(root)), None)
                if root and "\0" not in path and place.is_file():
                    return data_dir / place.relative_to(root)
    raise CsdmError(f"{where}: {shown(path, most=120)} is no image file in {shown(data_dir)}")


def _absolute(path: Path) -> str:
    """From the root on, without looking at what is a link."""
    return os.path.normpath(Path.cwd() / path)
