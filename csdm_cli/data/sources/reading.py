"""The reading of a source: what its files leave open, or say in another way than usual."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from csdm_cli.data.sources.pixels import WHITE


@dataclass(frozen=True)
class Reading:
    """Choices about a source's images, labels and classes.

    Attributes:
        size: height and width of the images; None takes the source's own.
        channels: 1 reads all as grey, 3 as colour; None is grey where all images are.
        background: red, green and blue behind what is transparent.
        upright: whether EXIF orientation tags are followed.
        classes: names of the classes to keep, in label order; empty keeps all.
        image_column, label_column: columns of a table; None takes the usual names.
        train_list, test_list: files that list images and labels; None without.
    """

    size: int | None = None
    channels: int | None = None
    background: tuple[int, int, int] = WHITE
    upright: bool = False
    classes: tuple[str, ...] = ()
    image_column: str | None = None
    label_column: str | None = None
    train_list: Path | None = None
    test_list: Path | None = None
