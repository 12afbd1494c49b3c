"""A picture of the images of a set in their true colours: one row per class.

Stored images, or those decoded where other numbers are stored.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from csdm_cli.artifacts.distilled import Coded, Distilled
from csdm_cli.artifacts.file import FILE_NAME, refuse_unsound, save_distilled
from csdm_cli.images.initial import to_uint8
from csdm_cli.safe_text import MOST_IN_PICTURE, shown
from csdm_cli.storage import kinds, outputs

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

GAP = 4  # pixels between images
MARGIN = 12  # pixels around the grid, and between names and images
TILE_SIDE = 96  # small images are magnified by whole numbers up to this side
WIDTH = 1600  # ... as long as a row of them stays within this width
MOST_COLUMNS = 50
MOST_ROWS = 100
INK, FADED, PAPER = (24, 24, 27), (130, 130, 138), (255, 255, 255)


@dataclass(frozen=True)
class Layout:
    """The positions of things in the picture, in pixels.

    Attributes:
        left, top: corner of the first image.
        scale: magnification, a whole number.
        side: height and width of a magnified image.
        rows, columns: classes, and images per class, that are shown.
        caption: text above the images.
        caption_width: its width.
    """

    left: int
    top: int
    scale: int
    side: int
    rows: int
    columns: int
    caption: str
    caption_width: int

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """x and y of an image's upper left pixel."""
        return self.left + column * (self.side + GAP), self.top + row * (self.side + GAP)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole picture."""
        right, bottom = self.corner(self.rows, self.columns)
        return max(right - GAP, self.left + self.caption_width) + MARGIN, bottom - GAP + MARGIN


def grid_path(artifact: Path) -> Path:
    """The place of an artifact's picture: beside it, ``grid.png``, or ``<stem>.png`` if it was renamed."""
    return artifact.with_name("grid.png") if artifact.name == FILE_NAME else artifact.with_suffix(".png")


def save_with_grid(path: Path, distilled: Distilled) -> None:
    """Write a set to ``path`` and its picture beside it.

    The set comes last: while it is missing, the same command goes on, whatever ended it before.

    Raises:
        CsdmError: if the set is not sound, or a file is there that csdm did not write, or cannot be written.
    """
    refuse_unsound(path, distilled)
    save_grid(distilled, grid_path(path))
    save_distilled(path, distilled)


def save_grid(distilled: Distilled, path: Path) -> None:
    """Write the picture as PNG, unless the very same one is there already.

    Raises:
        CsdmError: if something is there that csdm did not write, or it cannot be written.
    """
    data = grid_png(distilled)
    there = path.read_bytes() if path.is_file() else b""
    if data not in (there, kinds.signed_png(there)):  # earlier releases did not sign
        outputs.write_bytes(path, data, kinds.PNG)


def grid_png(distilled: Distilled) -> bytes:
    """The picture as PNG; equal sets give equal bytes (under one version of Pillow).

    Stored images are shown as they are, cells and all, each pixel magnified to a square. At most
    ``MOST_COLUMNS`` images of a class and ``MOST_ROWS`` classes are shown; the caption says so.
    """
    from PIL import Image, ImageDraw

    probe = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    layout = plan(distilled, probe)
    width, height = layout.size
    canvas = np.full((height, width, 3), PAPER, dtype=np.uint8)
    images = _rgb(distilled)
    starts = [0, *np.cumsum(distilled.counts).tolist()]
    for row in range(layout.rows):
        shown = images[starts[row] : min(starts[row + 1], starts[row] + layout.columns)]
        for column, image in enumerate(shown):
            x, y = layout.corner(row, column)
            tile = image.repeat(layout.scale, axis=0).repeat(layout.scale, axis=1)
            canvas[y : y + layout.side, x : x + layout.side] = tile
    picture = Image.fromarray(canvas)
    _write_names(ImageDraw.Draw(picture), distilled, layout)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return kinds.signed_png(buffer.getvalue())


def plan(distilled: Distilled, probe: ImageDraw) -> Layout:
    """Choose magnification and margins; ``probe`` measures text."""
    size = distilled.decoding.stored_size
    rows = min(distilled.dataset.classes, MOST_ROWS)
    columns = min(max(distilled.counts), MOST_COLUMNS)
    scale = max(1, min(TILE_SIDE // size, (WIDTH // columns - GAP) // size))
    side = size * scale
    texts = [*map(_name, distilled.dataset.class_names[:rows]), *map(_count_text, distilled.dataset.counts[:rows])]
    font = _font(side)
    caption = _caption(distilled, rows, columns)
    return Layout(
        left=math.ceil(max(probe.textlength(text, font=font) for text in texts)) + 2 * MARGIN,
        top=_font_size(side) + 2 * MARGIN,
        scale=scale,
        side=side,
        rows=rows,
        columns=columns,
        caption=caption,
        caption_width=math.ceil(probe.textlength(caption, font=font)),
    )


def _write_names(draw: ImageDraw, distilled: Distilled, layout: Layout) -> None:
    data, font = distilled.dataset, _font(layout.side)
    draw.text((layout.left, MARGIN), layout.caption, fill=FADED, font=font)
    two_lines = layout.side >= 2.2 * _font_size(layout.side)
    shift = 0.55 * _font_size(layout.side) if two_lines else 0
    for row in range(layout.rows):
        x, y = layout.left - MARGIN, layout.corner(row, 0)[1] + layout.side / 2
        draw.text((x, y - shift), _name(data.class_names[row]), fill=INK, font=font, anchor="rm")
        if two_lines:
            draw.text((x, y + shift), _count_text(data.counts[row]), fill=FADED, font=font, anchor="rm")


def _caption(distilled: Distilled, rows: int, columns: int) -> str:
    data, most = distilled.dataset, max(distilled.counts)
    parts = [_name(data.name), _name(distilled.provenance.method)]
    if isinstance(distilled.decoding, Coded):
        made_of = distilled.decoding.made_of
        parts.append(f"{most} images per class from {made_of} in the storage of {distilled.ipc_text}")
    else:
        parts.append(f"{distilled.ipc_text} stored image{'s' * (most > 1)} per class")
    if distilled.decoding.factor > 1:
        parts.append(f"each holds {distilled.decoding.per_image}")
    if columns < most:
        parts.append(f"first {columns} shown")
    if rows < data.classes:
        parts.append(f"first {rows} of {data.classes} classes shown")
    return ", ".join(parts)


def _name(text: str) -> str:
    return shown(text, MOST_IN_PICTURE)


def _count_text(count: int) -> str:
    return f"{count:,} real"


def _rgb(distilled: Distilled) -> np.ndarray:
    """(N, h, h, 3) uint8."""
    images: Tensor = distilled.images
    if images.dtype != torch.uint8:
        images = to_uint8(images)
    if images.shape[1] != 3:  # greyscale; of other channel counts, the first
        images = images[:, :1].expand(-1, 3, -1, -1)
    array: np.ndarray = images.permute(0, 2, 3, 1).cpu().numpy()
    return array


def _font_size(side: int) -> int:
    return min(16, max(11, side // 4))


def _font(side: int) -> FreeTypeFont | ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(_font_size(side))
