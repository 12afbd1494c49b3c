"""The sources of images: one module per kind of source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from csdm_cli.data.sources.raw import RawDataset, check, keep_classes
from csdm_cli.data.sources.reading import Reading
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.names import Source, whole_names
from csdm_cli.safe_text import shown

WITH_COLUMNS = ("parquet", "image list")
DEFAULT_SIZE: dict[str, int] = {
    Source.digits: 16,
    Source.cifar10: 32,
    Source.cifar100: 32,
    Source.svhn: 32,
    Source.fashion_mnist: 32,  # 28x28 resized, so that networks for 32x32 take it without padding
    Source.tinyimagenet: 64,
    Source.imagenette: 128,
    Source.imagewoof: 128,
    Source.imagemeow: 128,
    Source.imagesquawk: 128,
    Source.imagefruit: 128,
    Source.imageyellow: 128,
}
"""Height and width without ``size``; an image folder's own where all its images agree."""


def load(source: str, data_dir: Path | None, reading: Reading, cache: Path) -> RawDataset:
    """Open a source: labels, class names and a way to read images.

    Args:
        source: a name of :class:`csdm_cli.names.Source`.
        data_dir: where its files are; None downloads what can be downloaded.
        reading: how its images and labels are read; no size means the dataset's own.
        cache: folder for downloads.

    Raises:
        UsageError: if ``source`` needs a ``data_dir``, or takes none.
        CsdmError: if the files are missing, damaged or cannot be downloaded.
    """
    raw = _open(source, data_dir, replace(reading, size=reading.size or DEFAULT_SIZE.get(source)), cache)
    if (reading.image_column or reading.label_column) and raw.origin not in WITH_COLUMNS:
        raise UsageError(
            "--image-column and --label-column name columns of parquet or of a csv list, and these images come from"
            f" neither ({raw.origin})"
        )
    return check(_chosen(raw, reading.classes), source, untested=source == Source.folder)


def holds_images(place: Path) -> bool:
    """Whether this may be a source of one's own, at a glance: arrays, parquet, or folders that hold images."""
    from csdm_cli.data.sources import arrays, found_files, parquet_files

    if place.is_file():
        return bool(arrays.files_of(place))
    kinds = (parquet_files.present, found_files.any_image, arrays.files_of)
    return place.is_dir() and any(kind(place) for kind in kinds)


def _open(source: str, data_dir: Path | None, reading: Reading, cache: Path) -> RawDataset:
    from csdm_cli.data.sources import digits, vision

    if source == Source.digits:
        if data_dir is not None:
            raise UsageError("digits come inside scikit-learn: leave --data-dir out")
        return digits.load(reading.size or DEFAULT_SIZE[source], reading.channels or 1)
    if source in vision.SOURCES:
        if data_dir is not None:
            _refuse_no_folder(data_dir)
        return vision.load(source, data_dir, reading, cache)
    if data_dir is None:
        raise UsageError(f"{source} is not downloaded: name its files with --data-dir DIR ({_expected(source)})")
    if source == Source.folder:
        return _of_ones_own(data_dir, reading)
    _refuse_no_folder(data_dir)
    return _named(source, data_dir, reading)


def _named(source: str, data_dir: Path, reading: Reading) -> RawDataset:
    """A dataset by name that is not downloaded."""
    from csdm_cli.data.sources import imagenet, parquet, parquet_files, tinyimagenet

    if source in imagenet.SUBSETS:
        return imagenet.load(source, data_dir, reading)
    if parquet_files.present(data_dir):
        return parquet.load(data_dir, reading)
    return tinyimagenet.load(data_dir, reading)


def _of_ones_own(place: Path, reading: Reading) -> RawDataset:
    """Images of one's own: an npz file, or a folder with lists, parquet, class folders or arrays."""
    from csdm_cli.data.sources import arrays, folder, found_files, lists, parquet, parquet_files, tinyimagenet

    if place.is_file() and arrays.files_of(place):
        return arrays.load(place, reading)
    _refuse_no_folder(place)
    if reading.train_list or reading.test_list:
        return lists.load(place, reading)
    if parquet_files.present(place):
        return parquet.load(place, reading)
    if tinyimagenet.present(place):
        raise CsdmError(f"{shown(place)} is Tiny ImageNet: read it with csdm make-lt tinyimagenet --data-dir DIR")
    if arrays.files_of(place) and not found_files.any_image(place):
        return arrays.load(place, reading)
    return folder.load(place, reading)


def _refuse_no_folder(place: Path) -> None:
    if not place.is_dir():
        raise CsdmError(f"--data-dir {shown(place)} is not a folder")


def _chosen(raw: RawDataset, classes: Sequence[str]) -> RawDataset:
    """The dataset with the classes of these names alone, in the order given; all of them if none are."""
    if not classes:
        return raw
    classes = whole_names(classes, raw.class_names)
    if missing := [name for name in classes if name not in raw.class_names]:
        there = shown(", ".join(raw.class_names), most=200)
        raise UsageError(f"--classes: no class is called {shown(missing[0])}; there are {there}")
    if len(set(classes)) < len(classes):
        raise UsageError("--classes names a class twice")
    return keep_classes(raw, [raw.class_names.index(name) for name in classes], classes)


def _expected(source: str) -> str:
    if source == Source.folder:
        return "train/CLASS/ and test/CLASS/ or val/CLASS/, parquet, or an npz file"
    if source == Source.tinyimagenet:
        return "the unpacked tiny-imagenet-200, or parquet"
    return "an ImageNet-style folder with train/WNID/ and val/WNID/, or parquet"
