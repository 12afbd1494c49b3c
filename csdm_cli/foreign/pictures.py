"""Coded pictures that other tools wrote: a folder per class, or the rows of parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from csdm_cli.data.sources import found_files, parquet_table, pixels
from csdm_cli.errors import CsdmError

Pictures = tuple[Tensor, Tensor, tuple[str, ...] | None]  # (N, C, side, side) uint8, (N,) int64, names of classes
SOFT_COLUMN = "soft_label"
NESTED = ("train", "syn_data", "data", "images", "syn", "new")  # a lone folder around the class folders


def class_folders(place: Path, *, deeper: bool = True) -> list[Path]:
    """The folders in ``place``, or if ``deeper`` in a lone folder there, that hold pictures; none for other folders."""
    inside = sorted(entry for entry in place.iterdir() if entry.is_dir() and found_files.is_meant(entry.name))
    found = [entry for entry in inside if any(_is_picture(file) for file in entry.iterdir())]
    if found or not deeper:
        return found
    nested = [entry for entry in inside if len(inside) == 1 or entry.name in NESTED]
    return class_folders(nested[0]) if nested else []


def read_pictures(folders: Sequence[Path], channels: int) -> Pictures:
    """The pictures of every class folder, in the order of their names, with the folders' names.

    Raises:
        CsdmError: if a picture cannot be read.
    """
    files = [found_files.images_below(place).images for place in folders]
    coded: list[tuple[pixels.Coded, str]] = [(file, str(file)) for own in files for file in own]
    labels = torch.tensor([label for label, own in enumerate(files) for _ in own], dtype=torch.int64)
    return _decoded(coded, channels), labels, tuple(place.name for place in folders)


def read_parquet(files: Sequence[Path], channels: int) -> Pictures:
    """The rows of parquet files, with the names of classes that their metadata or texts give.

    Raises:
        CsdmError: if columns are missing, a label is no class, or a picture cannot be read.
    """
    table = parquet_table.Table(tuple(files))
    coded: list[tuple[pixels.Coded, str]] = [(data, where) for _, data, where in table.coded()]
    if not coded:
        raise CsdmError(f"{files[0]} has no rows")
    found, names = table.labels, table.class_names()
    if names is None and any(isinstance(label, str) for label in found):
        names = tuple(sorted({str(label) for label in found}))
    numbers = {name: number for number, name in enumerate(names or ())}
    labels = [numbers.get(label, -1) if isinstance(label, str) else int(label) for label in found]
    return _decoded(coded, channels), torch.tensor(labels, dtype=torch.int64), names


def read_soft_labels(files: Sequence[Path]) -> Tensor | None:
    """The rows of a column ``soft_label``, as our own export writes it: (N, C); None without such a column.

    Raises:
        CsdmError: if its rows are not numbers, as many in each.
    """
    from pyarrow import parquet

    if SOFT_COLUMN not in parquet.read_schema(files[0]).names:
        return None
    rows = [row for file in files for row in parquet.read_table(file, columns=[SOFT_COLUMN]).column(0).to_pylist()]
    try:
        return torch.tensor(rows, dtype=torch.float32)
    except (ValueError, TypeError) as error:
        raise CsdmError(f"{files[0]}: the rows of {SOFT_COLUMN} are not as many numbers each") from error


def _decoded(coded: Sequence[tuple[pixels.Coded, str]], channels: int) -> Tensor:
    """Square pictures of one size: the commonest short side among them."""
    sides = [header.short_side for header in pixels.read_headers(coded)]
    return pixels.decode_all(coded, pixels.Form(channels, max(sorted(set(sides)), key=sides.count)))


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in found_files.SUFFIXES and file.is_file() and found_files.is_meant(file.name)
