"""Arrays in one npz file: train_images and train_labels (MedMNIST), or x_train and y_train (Keras)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from csdm_cli.data.sources import labels, pixels
from csdm_cli.data.sources.raw import RawDataset, RawSplit
from csdm_cli.data.sources.reading import Reading
from csdm_cli.data.sources.survey import survey
from csdm_cli.errors import CsdmError
from csdm_cli.safe_text import shown
from csdm_cli.storage.plain_numpy import load_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIX = ".npz"
NAMES = ("{}_images {}_labels", "x_{} y_{}")
TESTS = ("test", "val")


def load(file: Path, reading: Reading) -> RawDataset:
    """Open an npz file; the test set is ``test``, or ``val`` where there is no test; it may have none.

    Raises:
        CsdmError: if the file is damaged, has no training arrays, or they are no uint8 images with a label each.
        UsageError: if no size is asked for and the images differ in theirs.
    """
    arrays = load_arrays(file)
    train = _pair(arrays, "train", file)
    if train is None:
        held = ", ".join(shown(name) for name in arrays) or "nothing"
        raise CsdmError(f"{shown(file)} holds {held} (expected train_images and train_labels, or x_train and y_train)")
    test = next((pair for name in TESTS if (pair := _pair(arrays, name, file))), None)
    labels.refuse_mixed(train.labels, train.place)
    classes = labels.found_in(train.labels, train.place)
    form, remarks = survey(train.headers, lambda: test.headers() if test else (), reading)

    def split(own: _Pair) -> RawSplit:
        def read(positions: Sequence[int]) -> Tensor:
            return pixels.decode_all([(own.images[row], own.place(row)) for row in positions], form)

        return RawSplit(classes.numbers(own.labels, own.place), read)

    return RawDataset(
        train=split(train),
        test=split(test) if test else None,
        class_names=classes.names,
        channels=form.channels,
        size=form.size,
        jpeg=None,
        origin="npz",
        fingerprint=hashlib.sha256(file.read_bytes()).hexdigest(),
        remarks=remarks,
    )


class _Pair:
    """The images and labels of one set."""

    def __init__(self, images: NDArray[Any], given: NDArray[Any], name: str, file: Path) -> None:
        if images.ndim == 4 and images.shape[3] == 1:
            images = images[..., 0]
        shape = " x ".join(map(str, images.shape))
        if images.dtype != np.uint8 or not (images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)):
            wanted = "uint8 of N x height x width or N x height x width x 3"
            raise CsdmError(f"{shown(file)}: the images of {name} are {images.dtype} of {shape} (expected {wanted})")
        if given.size != len(images) or given.dtype.kind not in "biufU":
            told = f"{given.dtype} of {' x '.join(map(str, given.shape))}"
            raise CsdmError(f"{shown(file)}: the labels of {name} are {told}, for {len(images)} images")
        if not images.size:
            raise CsdmError(f"{shown(file)}: {name} has no images")
        self.images, self.name, self.file = images, name, file
        self.labels = [labels.clean(value, self.place(row)) for row, value in enumerate(given.reshape(-1).tolist())]

    def place(self, row: int) -> str:
        """Which image, for messages."""
        return f"{shown(self.file)}, {self.name} image {row}"

    def headers(self) -> list[pixels.Header]:
        """The images' headers; one, for they are alike."""
        return [pixels.read_header(self.images[0], self.place(0))]


def _pair(arrays: dict[str, NDArray[Any]], name: str, file: Path) -> _Pair | None:
    for pattern in NAMES:
        images, own = pattern.format(name, name).split()
        if images in arrays and own in arrays:
            return _Pair(arrays[images], arrays[own], name, file)
    return None
