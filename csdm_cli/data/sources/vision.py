"""CIFAR-10, CIFAR-100, SVHN and Fashion-MNIST: torchvision's files, downloaded on first use, or parquet."""

from __future__ import annotations

import http.client
import io
import pickle
import socket
import ssl
import textwrap
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from csdm_cli.data.sources import parquet, parquet_files
from csdm_cli.data.sources.pixels import array_reader
from csdm_cli.data.sources.raw import RawDataset, RawSplit
from csdm_cli.data.sources.reading import Reading
from csdm_cli.errors import CsdmError, reason_of
from csdm_cli.names import Source
from csdm_cli.storage import atomic
from csdm_cli.storage.tensorfile import tensor_sha256

if TYPE_CHECKING:
    from numpy.typing import NDArray

SOURCES: dict[str, str] = {
    Source.cifar10: "cifar-10-batches-py",
    Source.cifar100: "cifar-100-python",
    Source.svhn: "train_32x32.mat",
    Source.fashion_mnist: "FashionMNIST",
}
"""What torchvision's files of each source are called."""

SILENCE = 30  # seconds without a byte before a download counts as failed
NETWORK_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ssl.SSLError,
    ConnectionError,
    TimeoutError,
    RuntimeError,
)
DAMAGE = (RuntimeError, OSError, EOFError, ValueError, KeyError, AssertionError, pickle.UnpicklingError)


@dataclass(frozen=True)
class Arrays:
    """One set in memory: pixels (N, height, width[, 3]) uint8, labels (N,), class names."""

    pixels: NDArray[np.uint8]
    labels: torch.Tensor
    class_names: tuple[str, ...]


def load(source: str, data_dir: Path | None, reading: Reading, cache: Path) -> RawDataset:
    """Open one of :data:`SOURCES`.

    Args:
        source: its name.
        data_dir: torchvision's files or parquet; None downloads to, or finds in, ``cache``.
        reading: size and channels of the images, columns of parquet.
        cache: folder for downloads.

    Raises:
        CsdmError: if the files are missing or damaged, or cannot be downloaded.
    """
    if data_dir is not None and parquet_files.present(data_dir):
        return parquet.load(data_dir, reading)
    root = _given(source, data_dir) if data_dir is not None else _downloaded(source, cache)
    try:
        train, test = (_read(source, root, train=train, download=False) for train in (True, False))
    except DAMAGE as error:
        way_out = "download it again" if data_dir is not None else "delete that folder, and it is downloaded again"
        raise CsdmError(f"{root} holds incomplete or damaged files of {source}: {way_out}") from error
    channels = reading.channels or (train.pixels.shape[3] if train.pixels.ndim == 4 else 1)
    size = reading.size or train.pixels.shape[1]

    def split(arrays: Arrays) -> RawSplit:
        return RawSplit(arrays.labels, array_reader(arrays.pixels, channels, size))

    return RawDataset(
        train=split(train),
        test=split(test),
        class_names=train.class_names,
        channels=channels,
        size=size,
        jpeg=False,
        origin="torchvision",
        fingerprint=tensor_sha256(torch.from_numpy(train.pixels))[:32] + tensor_sha256(train.labels)[:32],
    )


def will_download(source: str, data_dir: Path | None, cache: Path) -> bool:
    """Whether :func:`load` starts with a download, so that a command can say so."""
    return source in SOURCES and data_dir is None and not _place(source, cache).is_dir()


def _place(source: str, cache: Path) -> Path:
    return cache / source


def _given(source: str, data_dir: Path) -> Path:
    """The root torchvision wants: the folder that holds its files."""
    for root in (data_dir, data_dir.parent):
        if (root / SOURCES[source]).exists() and (root == data_dir or data_dir.name == SOURCES[source]):
            return root
    raise CsdmError(f"{data_dir} holds neither torchvision's {SOURCES[source]} nor parquet (train-*.parquet)")


def _downloaded(source: str, cache: Path) -> Path:
    """The cached files, downloaded whole or not at all; a second process waits for the first."""
    from filelock import FileLock

    place = _place(source, cache)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.parent / f".{source}.lock"):
            if not place.is_dir():
                _download(source, place)
    except OSError as error:
        raise CsdmError(f"cannot write {place}: {error.strerror or error}") from error
    return place


def _download(source: str, place: Path) -> None:
    with atomic.new_folder(place) as temporary:
        try:
            with _silent(), _patience(SILENCE):
                for train in (True, False):
                    _read(source, temporary, train=train, download=True)
        except NETWORK_ERRORS as error:
            reason = textwrap.shorten(reason_of(error), 160, placeholder=" ...")
            raise CsdmError(
                f"cannot download {source} ({reason}): without a network, name its files (torchvision's or parquet) "
                "with --data-dir DIR"
            ) from error
        for archive in temporary.rglob("*.gz"):
            archive.unlink()


def _read(source: str, root: Path, *, train: bool, download: bool) -> Arrays:
    """Torchvision's dataset as arrays; it checks the files' MD5 sums."""
    from torchvision import datasets

    data: Any
    if source == Source.svhn:
        data = datasets.SVHN(root, split="train" if train else "test", download=download)
        pixels = np.ascontiguousarray(data.data.transpose(0, 2, 3, 1))
        return Arrays(pixels, _int64(data.labels), tuple(str(digit) for digit in range(10)))
    kinds = {
        Source.cifar10: datasets.CIFAR10,
        Source.cifar100: datasets.CIFAR100,
        Source.fashion_mnist: datasets.FashionMNIST,
    }
    data = kinds[Source(source)](root, train=train, download=download)
    return Arrays(np.asarray(data.data), _int64(data.targets), tuple(data.classes))


def _int64(labels: Any) -> torch.Tensor:
    return torch.as_tensor(np.asarray(labels), dtype=torch.int64)


@contextmanager
def _silent() -> Iterator[None]:
    """Swallow torchvision's progress bars and remarks."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Give up on silent connections; torchvision's own downloads would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
