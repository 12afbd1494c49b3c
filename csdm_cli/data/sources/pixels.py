"""From coded images and arrays to square uint8 tensors.

The short side is resized to the wanted size (bilinear, antialiased) and the centre cut out, as IDC and NCFM do;
MTT squashes the aspect ratio instead. What is transparent shows a background, and people's own photographs are
turned upright; the field's loaders ignore orientation tags, and so do the named datasets here.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from csdm_cli.data.sources.room import refuse_without_room
from csdm_cli.data.sources.unreadable import UnreadableImageError, refuse_unreadable
from csdm_cli.errors import reason_of

if TYPE_CHECKING:
    from PIL.Image import Image

JPEG_MAGIC = b"\xff\xd8\xff"
GREY_MODES = ("1", "L", "LA", "La")
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # grey with 16 bits per pixel
FLOAT_MODE = "F"  # grey, one float per pixel
ORIENTATION = 0x0112  # EXIF tag; 1 is upright
WHITE = (255, 255, 255)
MOST_ELONGATED = 100  # long side / short side; what is longer is a mistake, or meant to fill the memory
KEPT_ELONGATED = 16  # what is longer is cut to this before it is resized: only the centre is kept anyway
Coded = bytes | Path | NDArray[np.uint8]


@dataclass(frozen=True)
class Form:
    """The form that every image gets.

    Attributes:
        channels: 1 for grey, 3 for colour.
        size: height and width in pixels.
        background: red, green and blue behind what is transparent, 0 to 255.
        upright: whether EXIF orientation tags are followed.
    """

    channels: int
    size: int
    background: tuple[int, int, int] = WHITE
    upright: bool = False


@dataclass(frozen=True)
class Header:
    """An image's own account of itself: whether it has no colour, its smaller side in pixels, and its place."""

    grey: bool
    short_side: int
    where: str


def open_image(coded: Coded, where: str) -> Image:
    """Open an image's header; its pixels are decoded on first use.

    Args:
        coded: the bytes of an image file, its path, or pixels (height, width) or (height, width, 3).
        where: the image's place, for messages.

    Raises:
        UnreadableImageError: naming ``where``, if it is no readable image, or a strip of pixels, not a picture.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata concern nobody here
            if isinstance(coded, np.ndarray):
                image = Image.fromarray(coded)
            else:
                image = Image.open(io.BytesIO(coded) if isinstance(coded, bytes) else coded)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(where, error) from error
    width, height = image.size
    if max(width, height) > MOST_ELONGATED * min(width, height):
        image.close()
        raise UnreadableImageError(
            f"{where} is {width}x{height} pixels (one side is more than {MOST_ELONGATED} times the other)"
        )
    return image


def read_header(coded: Coded, where: str) -> Header:
    """The header of an image, without decoding its pixels.

    Raises:
        UnreadableImageError: naming ``where``, if it is no readable image.
    """
    with open_image(coded, where) as image:
        return Header(
            grey=image.mode in (*GREY_MODES, *DEEP_MODES, FLOAT_MODE), short_side=min(image.size), where=where
        )


def read_headers(coded: Sequence[tuple[Coded, str]]) -> list[Header]:
    """The headers of (image, where it stands) pairs.

    Raises:
        CsdmError: telling how many are no readable images, and the first of them.
    """
    headers, unreadable = [], []
    for image, where in coded:
        try:
            headers.append(read_header(image, where))
        except UnreadableImageError as error:
            unreadable.append(error)
    refuse_unreadable(unreadable)
    return headers


def is_jpeg(coded: Coded) -> bool:
    """Whether the bytes are JPEG-coded, by their first three."""
    if isinstance(coded, Path):
        with coded.open("rb") as file:
            return file.read(len(JPEG_MAGIC)) == JPEG_MAGIC
    return isinstance(coded, bytes) and coded.startswith(JPEG_MAGIC)


def decode(coded: Coded, where: str, form: Form) -> NDArray[np.uint8]:
    """Decode one image to (channels, size, size) uint8.

    Raises:
        UnreadableImageError: naming ``where``, if it cannot be decoded.
    """
    from PIL import Image

    image = open_image(coded, where)
    try:
        with warnings.catch_warnings(), image:
            warnings.simplefilter("ignore")
            return fit(image, form)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(where, error) from error


def fit(image: Image, form: Form) -> NDArray[np.uint8]:
    """Convert to 1 or 3 channels, resize the short side to ``form.size`` and crop the centre.

    Raises:
        ValueError: if the pixels are floats outside [0, 1], whose brightness nothing tells.
    """
    from PIL import Image

    image = _plain(_turned(image) if form.upright else image, form)
    image = _centre(image, *(min(side, KEPT_ELONGATED * min(image.size)) for side in image.size))
    short = min(image.size)
    if short != form.size:
        width, height = (max(form.size, round(side * form.size / short)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(_centre(image, form.size, form.size), dtype=np.uint8)
    return pixels[None] if form.channels == 1 else pixels.transpose(2, 0, 1)


def decode_all(coded: Sequence[tuple[Coded, str]], form: Form) -> Tensor:
    """Decode (image, where it stands) pairs, in threads: Pillow lets go of the interpreter while it decodes.

    Returns:
        (len(coded), channels, size, size) uint8.

    Raises:
        CsdmError: telling how many cannot be decoded, and the first of them.
        UsageError: if the machine has less memory than they take.
    """
    images = room_for(len(coded), form)
    out = images.numpy()

    def one(index: int) -> UnreadableImageError | None:
        try:
            out[index] = decode(*coded[index], form)
        except UnreadableImageError as error:
            return error
        return None

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        refuse_unreadable([error for error in pool.map(one, range(len(coded))) if error])
    return images


def room_for(count: int, form: Form) -> Tensor:
    """Memory for (count, channels, size, size) uint8, not yet filled.

    Raises:
        UsageError: if the machine has less memory than that.
    """
    shape = (count, form.channels, form.size, form.size)
    refuse_without_room(shape)
    return torch.empty(shape, dtype=torch.uint8)


def array_reader(pixels: NDArray[np.uint8], channels: int, size: int) -> Callable[[Sequence[int]], Tensor]:
    """A ``read`` for images held in memory as (N, height, width) or (N, height, width, 3) uint8."""
    from PIL import Image

    form = Form(channels, size)

    def read(positions: Sequence[int]) -> Tensor:
        images = room_for(len(positions), form)
        out = images.numpy()
        for index, position in enumerate(positions):
            out[index] = fit(Image.fromarray(pixels[position]), form)
        return images

    return read


def _plain(image: Image, form: Form) -> Image:
    """The image in mode L or RGB: deep ones with their upper byte, clear ones on the background."""
    from PIL import Image

    if image.mode in DEEP_MODES:
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    elif image.mode == FLOAT_MODE:
        values = np.asarray(image)
        if not (values.min() >= 0 and values.max() <= 1):  # NaN included
            raise ValueError("its pixels are floats outside [0, 1]")
        image = Image.fromarray(np.rint(values * 255).astype(np.uint8))
    elif image.has_transparency_data:
        clear = image.convert("RGBA")
        image = Image.new("RGBA", image.size, (*form.background, 255))
        image.alpha_composite(clear)
    return image.convert("L" if form.channels == 1 else "RGB")


def _turned(image: Image) -> Image:
    """The image as its camera was held."""
    from PIL import ImageOps

    try:
        turned = image.getexif().get(ORIENTATION, 1) != 1
    except Exception:  # damaged metadata raise almost anything, and must not cost the picture
        return image
    return ImageOps.exif_transpose(image) if turned else image


def _centre(image: Image, width: int, height: int) -> Image:
    if (width, height) == image.size:
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _unreadable(where: str, error: Exception) -> UnreadableImageError:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return UnreadableImageError(f"{where} is not an image that can be read")
    return UnreadableImageError(f"{where} cannot be decoded ({reason_of(error)})")
