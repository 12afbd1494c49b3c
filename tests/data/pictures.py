"""Small datasets, on disk and in memory, for the tests of what reads them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow
import torch
from PIL import Image
from pyarrow import parquet

from csdm_cli.data.sources.raw import RawDataset, RawSplit


def noise(seed: int, height: int = 8, width: int = 8, channels: int = 3) -> np.ndarray:
    """(height, width[, 3]) uint8, different for every seed."""
    shape = (height, width, 3) if channels == 3 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def coded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind)
    return buffer.getvalue()


def image_folder(root: Path, sets: dict[str, dict[str, Sequence[np.ndarray]]], kind: str = "png") -> Path:
    """root/SET/CLASS/00.png, 01.png, ..."""
    for name, classes in sets.items():
        for label, images in classes.items():
            place = root / name / label
            place.mkdir(parents=True)
            for index, pixels in enumerate(images):
                Image.fromarray(pixels).save(place / f"{index:02}.{kind}")
    return root


def parquet_file(
    path: Path,
    images: Sequence[bytes | None],
    labels: Sequence[object],
    names: Sequence[str] | None = None,
    columns: tuple[str, str] = ("image", "label"),
    rows_per_group: int = 3,
) -> Path:
    """A file as the datasets library writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image_type = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    cells = [{"bytes": data, "path": f"{index}.png"} for index, data in enumerate(images)]
    arrays = {columns[0]: pyarrow.array(cells, image_type), columns[1]: pyarrow.array(list(labels))}
    table = pyarrow.table(arrays)
    if names is not None:
        features = {columns[0]: {"_type": "Image"}, columns[1]: {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, path, row_group_size=rows_per_group)
    return path


def black_images(counts: Sequence[int], names: Sequence[str] = ()) -> RawDataset:
    """A source without a test set, of as many images per class, in the order of the classes; with these file names."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    split = RawSplit(labels, lambda positions: torch.zeros(len(positions), 3, 8, 8, dtype=torch.uint8), names)
    return RawDataset(split, None, tuple("abcdefgh"[: len(counts)]), 3, 8, None, "made up", "0")
