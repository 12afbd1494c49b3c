"""From coded images and arrays to square uint8 tensors.

The short side is resized to the wanted size (bilinear, antialiased) and the centre cut out, as IDC and NCFM do;
MTT squashes the aspect ratio instead. Orientation tags are ignored, as by the field's loaders.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from csdm_cli.errors import CsdmError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

JPEG_MAGIC = b"\xff\xd8\xff"
GREY_MODES = ("1", "L", "LA", "La")
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # grey with 16 bits per pixel
Coded = bytes | Path


@dataclass(frozen=True)
class Header:
    """Whether an image has no colour, and its smaller side in pixels."""

    grey: bool
    short_side: int


def open_image(coded: Coded, where: str) -> Image:
    """Open an image's header; its pixels are decoded on first use.

    Raises:
        CsdmError: naming ``where``, if it is no readable image.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata concern nobody here
            return Image.open(io.BytesIO(coded) if isinstance(coded, bytes) else coded)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(where, error) from error


def read_header(coded: Coded, where: str) -> Header:
    """What an image says of itself, without decoding its pixels.

    Raises:
        CsdmError: naming ``where``, if it is no readable image.
    """
    with open_image(coded, where) as image:
        return Header(grey=image.mode in GREY_MODES + DEEP_MODES, short_side=min(image.size))


def channels_of(headers: Iterable[Header]) -> int:
    """1 if every image is grey, else 3; stops at the first in colour."""
    return 1 if all(header.grey for header in headers) else 3


def common_side(headers: Iterable[Header]) -> int:
    """The short side that all images share.

    Raises:
        UsageError: if they differ, because then only the user can say what size is wanted.
    """
    sides = (header.short_side for header in headers)
    first = next(sides)
    if other := next((side for side in sides if side != first), None):
        raise UsageError(f"the images differ in size (short sides {first}, {other}, ...): choose one with --size")
    return first


def is_jpeg(coded: Coded) -> bool:
    """Whether the bytes are JPEG-coded, by their first three."""
    if isinstance(coded, bytes):
        return coded.startswith(JPEG_MAGIC)
    with coded.open("rb") as file:
        return file.read(len(JPEG_MAGIC)) == JPEG_MAGIC


def decode(coded: Coded, where: str, channels: int, size: int) -> NDArray[np.uint8]:
    """Decode one image to (channels, size, size) uint8.

    Raises:
        CsdmError: naming ``where``, if it cannot be decoded.
    """
    from PIL import Image

    image = open_image(coded, where)
    try:
        with warnings.catch_warnings(), image:
            warnings.simplefilter("ignore")
            return fit(image, channels, size)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(where, error) from error


def fit(image: Image, channels: int, size: int) -> NDArray[np.uint8]:
    """Convert to 1 or 3 channels, resize the short side to ``size`` and crop the centre."""
    from PIL import Image

    if image.mode in DEEP_MODES:
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    image = image.convert("L" if channels == 1 else "RGB")
    width, height = image.size
    short = min(width, height)
    if short != size:
        width, height = (max(size, round(side * size / short)) for side in (width, height))
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    if width != height:
        left, top = (width - size) // 2, (height - size) // 2
        image = image.crop((left, top, left + size, top + size))
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def decode_all(coded: Sequence[tuple[Coded, str]], channels: int, size: int) -> Tensor:
    """Decode (image, where it stands) pairs, in threads: Pillow lets go of the interpreter while it decodes.

    Returns:
        (len(coded), channels, size, size) uint8.
    """
    images = torch.empty((len(coded), channels, size, size), dtype=torch.uint8)
    out = images.numpy()

    def one(index: int) -> None:
        out[index] = decode(*coded[index], channels, size)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        list(pool.map(one, range(len(coded))))  # the list surfaces the first error
    return images


def array_reader(pixels: NDArray[np.uint8], channels: int, size: int) -> Callable[[Sequence[int]], Tensor]:
    """A ``read`` for images held in memory as (N, height, width) or (N, height, width, 3) uint8."""
    from PIL import Image

    def read(positions: Sequence[int]) -> Tensor:
        images = torch.empty((len(positions), channels, size, size), dtype=torch.uint8)
        out = images.numpy()
        for index, position in enumerate(positions):
            out[index] = fit(Image.fromarray(pixels[position]), channels, size)
        return images

    return read


def _unreadable(where: str, error: Exception) -> CsdmError:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return CsdmError(f"{where} is not an image that can be read: remove or replace it")
    reason = " ".join(str(error).split()) or type(error).__name__
    return CsdmError(f"{where} cannot be decoded ({reason}): remove or replace it")
