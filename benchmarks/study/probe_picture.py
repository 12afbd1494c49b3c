"""A picture of what probe_tables.py distilled: `python benchmarks/study/probe_picture.py TABLE --out FILE`.

One row per method and backbone, one column per class, the first image of each, as it is stored; above them random real
images, and for each backbone those nearest to the classes' means. The tables are named as for probe_tables.py; of
their sets those of seed 0 are shown, as far as they are there. 256 colours, so that the file is small.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from probe_tables import Table, add_plan, chosen_tables
from torch import Tensor

from csdm_cli.artifacts.file import FILE_NAME, load_distilled
from csdm_cli.data.store import open_longtail
from csdm_cli.evaluation.controls import ControlName, Selection, nearest_to_centroid, random_images
from csdm_cli.evaluation.probes import Probed
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.initial import to_uint8
from csdm_cli.names import ProbeFeatures
from csdm_cli.storage import atomic, places
from csdm_cli.teachers.pool import TeacherPool

SIDE, GAP, LEFT, SEED = 64, 4, 150, 0
INK, FADED, PAPER = (24, 24, 27), (130, 130, 138), (255, 255, 255)

# A name, what it is of, and an image of each class: (C, channels, H, W) uint8.
Row = tuple[str, str, Tensor]


def main() -> None:
    """Draw the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_plan(parser)
    parser.add_argument("--out", type=Path, required=True, help="PNG file")
    words = parser.parse_args()
    found = chosen_tables(words)
    data = open_longtail(found[0].data_folder)
    names = data.manifest.class_names
    atomic.write_bytes(words.out, drawn(list(rows(found, data.train())), names))


def rows(tables: Sequence[Table], train: ImageSet) -> Iterator[Row]:
    """The rows of ``tables``, which are of one set, in their order."""
    for number, table in enumerate(tables):
        selection = Selection(table.ipc, 1, SEED)
        if number == 0:
            yield str(ControlName.random), "real", random_images(train, selection)[:: table.ipc]
        made = {arm: table.set_folder(arm, SEED) / FILE_NAME for arm in table.plan["arms"]}
        made = {arm: file for arm, file in made.items() if file.exists()}
        if not made:
            continue
        pool = TeacherPool.open(table.pool_folder(table.backbone))
        probed = Probed(pool.network(0), pool.key, ProbeFeatures.cached, pool.description, places.cache_dir())
        yield str(ControlName.centroid), table.backbone, nearest_to_centroid(train, selection, probed)[:: table.ipc]
        for arm, file in made.items():
            images = load_distilled(file).decoded()
            yield arm, table.backbone, to_uint8(images)[:: len(images) // train.classes]


def drawn(found: Sequence[Row], class_names: Sequence[str]) -> bytes:
    """The picture as PNG of 256 colours."""
    font = ImageFont.load_default(13)
    width, height = LEFT + len(class_names) * (SIDE + GAP), 24 + len(found) * (SIDE + GAP)
    picture = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(picture)
    for column, name in enumerate(class_names):
        draw.text((LEFT + column * (SIDE + GAP) + SIDE / 2, 12), name, fill=INK, font=font, anchor="mm")
    for number, (name, of, images) in enumerate(found):
        top = 24 + number * (SIDE + GAP)
        draw.text((LEFT - 10, top + SIDE / 2 - 9), name, fill=INK, font=font, anchor="rm")
        draw.text((LEFT - 10, top + SIDE / 2 + 9), of, fill=FADED, font=font, anchor="rm")
        for column, image in enumerate(images):
            tile = Image.fromarray(_rgb(image)).resize((SIDE, SIDE), Image.Resampling.NEAREST)
            picture.paste(tile, (LEFT + column * (SIDE + GAP), top))
    buffer = io.BytesIO()
    picture.quantize(256, dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _rgb(image: Tensor) -> np.ndarray:
    """(channels, H, W) -> (H, W, 3), uint8."""
    array: np.ndarray = image.expand(3, -1, -1).permute(1, 2, 0).to(torch.uint8).cpu().numpy()
    return array


if __name__ == "__main__":
    main()
