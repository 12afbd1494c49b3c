"""Arrays in one npz file, or in npy files of one folder: train_images and train_labels (MedMNIST), x_train and y_train
(Keras) and their like, images first, height and width next or last, as bytes or floats.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from csdm_cli.data.sources import labels, pixels
from csdm_cli.data.sources.pixel_arrays import Levels, channels_last
from csdm_cli.data.sources.raw import RawDataset, RawSplit
from csdm_cli.data.sources.reading import Reading
from csdm_cli.data.sources.survey import survey
from csdm_cli.errors import CsdmError
from csdm_cli.safe_text import shown
from csdm_cli.storage.plain_numpy import load_array, load_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIX = ".npz"
SINGLE = ".npy"
NAMES = (
    "{}_images {}_labels",
    "x_{} y_{}",
    "{}_x {}_y",
    "{}_images {}_targets",
    "{}_data {}_labels",
    "{}_data {}_targets",
)
UNSPLIT = ("images labels", "x y", "data labels", "data targets", "image label", "images targets")
TESTS = ("test", "val")


def load(place: Path, reading: Reading) -> RawDataset:
    """Open an npz file, or a folder of one or of npy files.

    The test set is ``test``, or ``val`` where there is no test; there may be none, and none where arrays name no split.

    Raises:
        CsdmError: if a file is damaged, there are no training arrays, or they are no images with a label each.
        UsageError: if no size is asked for and the images differ in theirs.
    """
    files = files_of(place)
    arrays = {name.lower(): array for name, array in _read(files).items()}
    training = _training(arrays)
    if training is None:
        held = ", ".join(shown(name) for name in arrays) or "nothing"
        raise CsdmError(f"{shown(place)} holds {held} (expected train_images and train_labels, or x_train and y_train)")
    levels = Levels.of(training[0], f"{shown(place)}: the images of train")
    train = _Pair(*training, "train", place, levels)
    tested = next(((name, pair) for name in TESTS if (pair := _named(arrays, name))), None)
    test = _Pair(*tested[1], tested[0], place, levels) if tested else None
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
        fingerprint=_fingerprint(files),
        remarks=remarks + levels.remarks,
    )


def files_of(place: Path) -> tuple[Path, ...]:
    """The files with arrays: the one named, or those in a folder that belong together; none if it holds none."""
    if place.is_file():
        return (place,) if place.suffix.lower() == SUFFIX else ()
    packed = sorted(place.glob(f"*{SUFFIX}"))
    if len(packed) == 1:
        return (packed[0],)
    single = sorted(place.glob(f"*{SINGLE}"))
    return tuple(single) if _training({file.stem.lower(): file for file in single}) else ()


def _read(files: Sequence[Path]) -> dict[str, NDArray[Any]]:
    if len(files) == 1 and files[0].suffix.lower() == SUFFIX:
        return load_arrays(files[0])
    return {file.stem: load_array(file) for file in files}


def _fingerprint(files: Sequence[Path]) -> str:
    hashes = [hashlib.sha256(file.read_bytes()) for file in files]
    return (
        hashes[0].hexdigest() if len(hashes) == 1 else hashlib.sha256(b"".join(x.digest() for x in hashes)).hexdigest()
    )


class _Pair:
    """The images and labels of one set."""

    def __init__(self, images: NDArray[Any], given: NDArray[Any], name: str, place: Path, levels: Levels) -> None:
        own = f"{shown(place)}: the images of {name}"
        if not images.size:
            raise CsdmError(f"{shown(place)}: {name} has no images")
        self.images, self.name, self.file = levels.bytes_of(channels_last(images, own), own), name, place
        given = _unpacked(given)
        if given.size != len(images) or given.dtype.kind not in "biufU":
            told = f"{given.dtype} of {' x '.join(map(str, given.shape))}"
            raise CsdmError(f"{shown(place)}: the labels of {name} are {told}, for {len(images)} images")
        self.labels = [labels.clean(value, self.place(row)) for row, value in enumerate(given.reshape(-1).tolist())]

    def place(self, row: int) -> str:
        """Which image, for messages."""
        return f"{shown(self.file)}, {self.name} image {row}"

    def headers(self) -> list[pixels.Header]:
        """The images' headers; one, for they are alike."""
        return [pixels.read_header(self.images[0], self.place(0))]


def _unpacked(given: NDArray[Any]) -> NDArray[Any]:
    """One-hot rows as their classes; other labels as they are."""
    if given.ndim != 2 or given.shape[1] < 2 or given.dtype.kind not in "biuf":
        return given
    one_hot = (np.isin(given, (0, 1)).all() and (given.sum(1) == 1).all()) if given.size else False
    return given.argmax(1) if one_hot else given


def _training(arrays: Mapping[str, Any]) -> tuple[Any, Any] | None:
    return _named(arrays, "train") or next((pair for names in UNSPLIT if (pair := _both(arrays, names))), None)


def _named(arrays: Mapping[str, Any], split: str) -> tuple[Any, Any] | None:
    return next((pair for names in NAMES if (pair := _both(arrays, names.format(split, split)))), None)


def _both(arrays: Mapping[str, Any], names: str) -> tuple[Any, Any] | None:
    images, own = names.split()
    return (arrays[images], arrays[own]) if images in arrays and own in arrays else None
