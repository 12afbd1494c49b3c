"""A folder of images: train/CLASS/... and test/CLASS/... or val/CLASS/..., or class folders alone."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from csdm_cli.data.sources import pixels
from csdm_cli.data.sources.found_files import (
    SUFFIXES,
    Found,
    class_folders,
    idle_links,
    is_meant,
    left_out,
    lost_folders,
    told,
)
from csdm_cli.data.sources.labels import in_order
from csdm_cli.data.sources.raw import RawDataset, RawSplit
from csdm_cli.data.sources.reading import Reading
from csdm_cli.data.sources.survey import survey
from csdm_cli.data.sources.unreadable import UnreadableImageError
from csdm_cli.errors import CsdmError
from csdm_cli.names import whole_names
from csdm_cli.safe_text import counted, shown

LISTS = (".csv", ".tsv", ".txt", ".json", ".jsonl")  # what may name images and their labels
TRAIN_FOLDERS = ("train", "training")
TEST_FOLDERS = ("test", "testing", "val", "valid", "validation")
DEEPEST = 3  # folders that each hold one alone, as archives unpack to


@dataclass(frozen=True)
class LabelledFiles:
    """Image files and their class numbers, in a fixed order."""

    files: tuple[Path, ...]
    labels: tuple[int, ...]

    def headers(self) -> Iterator[pixels.Header]:
        """The header of each image."""
        return (pixels.read_header(file, shown(file)) for file in self.files)


def load(data_dir: Path, reading: Reading, only: Sequence[str] | None = None) -> RawDataset:
    """Open an image folder; classes are the subfolders of ``train``, files are taken in the order of their names.

    Args:
        data_dir: holds one of :data:`TRAIN_FOLDERS` and one of :data:`TEST_FOLDERS` (the first that has images in class
            folders), or a lone folder that does. Without the latter, or with class folders alone, there is no test set.
        reading: size and channels of the images.
        only: the class folders to use, in label order (None: all that have images; sorted, as numbers if all are).

    Raises:
        CsdmError: if folders are missing, or the test set has classes that the training set has not.
        UsageError: if no size is asked for and the images differ in theirs.
    """
    given, data_dir = data_dir, data_dir if only else _inmost(data_dir)
    test_dir, test = _test_folders(data_dir)
    train_dir, train = _train_folders(data_dir, test_dir)
    if only is None:
        if chosen := _chosen(train, reading.classes):
            train, test = _named(train, chosen), _named(test, chosen)
        only = _classes(train_dir, train, test_dir, test)
    else:
        for folder, there in ((train_dir, train), (test_dir, test)):
            if folder and (missing := [name for name in only if name not in there]):
                raise CsdmError(f"{shown(folder)} has no folder {shown(missing[0])}")
    raw = from_files(
        data_dir, _listed(train, only), _listed(test, only) if test_dir else None, tuple(map(shown, only)), reading
    )
    inside = (f"the images are those in {shown(data_dir)}",) if data_dir != given else ()
    lost = idle_links([link for place in (train_dir, test_dir) if place for link in lost_folders(place)])
    return replace(raw, remarks=raw.remarks + inside + left_out((*train.values(), *test.values())) + lost)


def training_files(data_dir: Path) -> tuple[LabelledFiles, tuple[str, ...]]:
    """The training images in class folders, and the folders' names.

    Raises:
        CsdmError: if there are none.
    """
    train_dir, train = _train_folders(data_dir, None)
    names = _classes(train_dir, train, None, {})
    return _listed(train, names), tuple(names)


def from_files(
    data_dir: Path, train: LabelledFiles, test: LabelledFiles | None, names: tuple[str, ...], reading: Reading
) -> RawDataset:
    """A dataset of listed image files.

    Raises:
        CsdmError: if there is no training image, or images cannot be read.
        UsageError: if no size is asked for and the images differ in theirs.
    """
    if not train.files:
        raise CsdmError(f"{shown(data_dir)} has no training images ({', '.join(sorted(SUFFIXES))})")
    files = train.files + (test.files if test else ())
    try:
        form, remarks = survey(train.headers, lambda: test.headers() if test else (), reading)
    except UnreadableImageError:
        pixels.read_headers([(file, shown(file)) for file in files])  # which tells of all such files
        raise

    def split(listed: LabelledFiles) -> RawSplit:
        def read(positions: Sequence[int]) -> Tensor:
            chosen = [listed.files[position] for position in positions]
            return pixels.decode_all([(file, shown(file)) for file in chosen], form)

        inside = [file.relative_to(data_dir).as_posix() for file in listed.files]
        return RawSplit(torch.tensor(listed.labels, dtype=torch.int64), read, inside)

    return RawDataset(
        train=split(train),
        test=split(test) if test else None,
        class_names=names,
        channels=form.channels,
        size=form.size,
        jpeg=pixels.is_jpeg(train.files[0]),
        origin="image folder",
        fingerprint=_fingerprint(data_dir, files),
        remarks=remarks,
        modified=max(file.stat().st_mtime for file in files),
    )


def _without_images(data_dir: Path, train: Mapping[str, Found]) -> str:
    others = sum((own.others for own in train.values()), Counter[str]())
    if others:
        return (
            f"{shown(data_dir)} has no training images ({', '.join(sorted(SUFFIXES))}); its files end in {told(others)}"
        )
    if links := [link for own in train.values() for link in own.links]:
        lead = counted(len(links), "symbolic link leads", "symbolic links lead")
        return f"{shown(data_dir)} has no training images: {lead} to no file, the first {shown(links[0])}"
    wants = "train/CLASS/ with images, and test/CLASS/ or val/CLASS/; or CLASS/ with images"
    lists = _lists_there(data_dir)
    return f"{shown(data_dir)} is not an image folder: it needs {wants}; or parquet files; or {lists}"


def _lists_there(data_dir: Path) -> str:
    """How a list of images is named, with one that is there, or beside the training images, if there is any."""
    places = dict.fromkeys((data_dir, *(_sub(data_dir, name) for name in TRAIN_FOLDERS)))
    files = [entry for place in places if place.is_dir() for entry in sorted(place.iterdir())]
    there = [file.relative_to(data_dir).as_posix() for file in files if file.suffix.lower() in LISTS and file.is_file()]
    first = next((name for name in there if "train" in name.lower()), there[0] if there else "")
    return f"a list of its images, such as --train-list {shown(first)}" if there else "lists (--train-list)"


def _chosen(train: Mapping[str, Found], classes: Sequence[str]) -> list[str]:
    """The classes asked for; none if one of them is unknown, so that the error can tell which there are."""
    there = [shown(name) for name in train]
    chosen = whole_names(classes, there)
    return chosen if all(name in there for name in chosen) else []


def _named(found: Mapping[str, Found], classes: Sequence[str]) -> dict[str, Found]:
    return {name: own for name, own in found.items() if shown(name) in classes}


def _train_folders(data_dir: Path, test_dir: Path | None) -> tuple[Path, dict[str, Found]]:
    train_dir = _train_dir(data_dir)
    if not (test_dir or train_dir.is_dir()):
        train_dir = data_dir
    train = class_folders(train_dir)
    if not any(own.images for own in train.values()):
        raise CsdmError(_without_images(data_dir, train))
    if train_dir == data_dir and len(train) == 1:
        raise CsdmError(
            f"{shown(data_dir)} has images in one class folder only ({shown(next(iter(train)))}): it needs one per "
            f"class, or {_lists_there(data_dir)}"
        )
    return train_dir, train


def _train_dir(data_dir: Path) -> Path:
    """The folder called ``train``, or one of class folders of another usual name; it may not be there."""
    first, *others = (_sub(data_dir, name) for name in TRAIN_FOLDERS)
    if first.is_dir():
        return first
    return next((place for place in others if any(own.images for own in class_folders(place).values())), first)


def _inmost(data_dir: Path) -> Path:
    """The folder itself, or the one inside it that holds the sets or the classes, as unpacked archives have it."""
    place = data_dir
    for _ in range(DEEPEST):
        inside = [entry for entry in place.iterdir() if is_meant(entry.name) and entry.is_dir()]
        if len(inside) != 1 or inside[0].name.lower() in (*TRAIN_FOLDERS, *TEST_FOLDERS):
            break
        place = inside[0]
        if len([own for own in class_folders(place).values() if own.images]) > 1:
            return place
    return data_dir


def _sub(data_dir: Path, name: str) -> Path:
    """The subfolder of this name, in whatever letters it is written."""
    there = sorted(entry.name for entry in data_dir.iterdir() if entry.name.lower() == name and entry.is_dir())
    return data_dir / (name if name in there or not there else there[0])


def _test_folders(data_dir: Path) -> tuple[Path | None, dict[str, Found]]:
    for name in TEST_FOLDERS:
        found = class_folders(_sub(data_dir, name))
        if any(own.images for own in found.values()):
            return _sub(data_dir, name), found
    return None, {}


def _classes(
    train_dir: Path, train: Mapping[str, Found], test_dir: Path | None, test: Mapping[str, Found]
) -> list[str]:
    """The class folders that hold images, in label order."""
    for name in (name for name, own in test.items() if own.images):
        if name not in train:
            raise CsdmError(
                f"{shown(test_dir)}/{shown(name)}: {shown(train_dir)} has no such class: add training images of it,"
                " move its test images away, or name the classes to use with --classes"
            )
    names = []
    for name, own in train.items():
        in_test = name in test and bool(test[name].images)
        if not own.images and (in_test or own.others or own.links):
            why = f"; its files end in {told(own.others)}" if own.others else ""
            why += f"; its {counted(len(own.links), 'link leads', 'links lead')} to no file" if own.links else ""
            raise CsdmError(f"{shown(train_dir)}: class {shown(repr(name))} has no training images{why}")
        if own.images and name in test and not in_test and test[name].others:
            why = f"its files end in {told(test[name].others)}"
            raise CsdmError(f"{shown(test_dir)}: class {shown(repr(name))} has no test images; {why}")
        names += [name] if own.images else []
    return sorted(names, key=in_order(names))


def _listed(found: Mapping[str, Found], classes: Sequence[str]) -> LabelledFiles:
    per_class = [found[name].images if name in found else () for name in classes]
    labels = [label for label, files in enumerate(per_class) for _ in files]
    return LabelledFiles(tuple(file for files in per_class for file in files), tuple(labels))


def _fingerprint(data_dir: Path, files: Sequence[Path]) -> str:
    """Hash of names and sizes: reading every file of an ImageNet for its hash would take longer than the job."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(os.fsencode(file.relative_to(data_dir).as_posix()) + f" {file.stat().st_size}\n".encode())
    return digest.hexdigest()
