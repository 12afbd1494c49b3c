from __future__ import annotations

import pickle
import struct
import urllib.error

import numpy as np
import pytest
import torch
from torchvision import datasets

from csdm_cli.data import sources
from csdm_cli.data.sources import vision
from csdm_cli.data.sources.reading import Reading
from csdm_cli.errors import CsdmError
from tests.data.pictures import noise


def fails(call, *says):
    with pytest.raises(CsdmError) as error:
        call()
    for text in says:
        assert text in str(error.value)
    assert "\n" not in str(error.value)


def idx(array: np.ndarray) -> bytes:
    """Yann LeCun's format: two zeros, type 8 (bytes), number of sides, sides, data."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def fashion_files(root):
    """Ten training and ten test images, one per class."""
    place = root / "FashionMNIST" / "raw"
    place.mkdir(parents=True)
    for name, start in (("train", 0), ("t10k", 50)):
        pixels = np.stack([noise(start + label, 28, 28, channels=1) for label in range(10)])
        (place / f"{name}-images-idx3-ubyte").write_bytes(idx(pixels))
        (place / f"{name}-labels-idx1-ubyte").write_bytes(idx(np.arange(10, dtype=np.uint8)))
    return root


def cifar_files(root, monkeypatch):
    """CIFAR-10's batches with four images; their checksums cannot be CIFAR's."""
    monkeypatch.setattr(datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: True)
    place = root / "cifar-10-batches-py"
    place.mkdir(parents=True)
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    for number, name in enumerate(names):
        rows = np.stack([noise(10 * number + row, 32, 32).transpose(2, 0, 1).ravel() for row in range(10)])
        (place / name).write_bytes(pickle.dumps({"data": rows, "labels": list(range(9, -1, -1))}))
    (place / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"name{label}" for label in range(10)]}))
    return root


def test_fashion_mnist_is_grey_and_resized(tmp_path):
    raw = sources.load("fashion-mnist", fashion_files(tmp_path), Reading(), tmp_path / "cache")
    assert (raw.channels, raw.size, raw.jpeg, raw.origin) == (1, 32, False, "torchvision")
    assert raw.class_names[0] == "T-shirt/top"
    native = sources.load("fashion-mnist", tmp_path, Reading(28), tmp_path / "cache")
    assert np.array_equal(native.train.read([4])[0, 0], noise(4, 28, 28, channels=1))
    assert np.array_equal(native.test.read([4])[0, 0], noise(54, 28, 28, channels=1))


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-py"])
def test_cifar10_is_read_in_its_file_order(tmp_path, monkeypatch, inner):
    raw = sources.load("cifar10", cifar_files(tmp_path, monkeypatch) / inner, Reading(), tmp_path / "cache")
    assert raw.class_names == tuple(f"name{label}" for label in range(10))
    assert raw.train.labels.tolist() == list(range(9, -1, -1)) * 5
    assert np.array_equal(raw.train.read([12])[0], noise(12, 32, 32).transpose(2, 0, 1))


def test_svhn_keeps_its_orientation(tmp_path, monkeypatch):
    class Fake:
        def __init__(self, root, split, download):
            self.data = np.stack([noise(label, 32, 32).transpose(2, 0, 1) for label in range(10)])
            self.labels = np.arange(10)

    monkeypatch.setattr(datasets, "SVHN", Fake)
    (tmp_path / "train_32x32.mat").write_bytes(b"")
    raw = sources.load("svhn", tmp_path, Reading(), tmp_path / "cache")
    assert np.array_equal(raw.train.read([7])[0], noise(7, 32, 32).transpose(2, 0, 1))
    assert raw.class_names == tuple("0123456789")


def test_ltdd_on_torchvisions_order_gives_ltdds_images(tmp_path, monkeypatch):
    from csdm_cli.data.build import build_longtail
    from csdm_cli.settings.sections import MakeLt

    settings = MakeLt(dataset="cifar10", data_dir=cifar_files(tmp_path, monkeypatch), imbalance=5, split="ltdd")
    manifest = build_longtail(settings, tmp_path / "set", tmp_path / "cache").manifest
    assert manifest.ltdd_images is True
    assert manifest.counts == (5, 4, 3, 2, 2, 2, 1, 1, 1, 1)


def test_a_folder_without_the_files_is_refused(tmp_path):
    fails(
        lambda: sources.load("cifar10", tmp_path, Reading(), tmp_path),
        "neither torchvision's cifar-10-batches-py",
        "parquet",
    )


def test_damaged_files_are_refused(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    fails(lambda: sources.load("cifar10", tmp_path, Reading(), tmp_path), "incomplete or damaged", "download it again")
    place = fashion_files(tmp_path / "fashion") / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    place.write_bytes(place.read_bytes()[:500])
    fails(lambda: sources.load("fashion-mnist", tmp_path / "fashion", Reading(), tmp_path), "incomplete or damaged")


@pytest.mark.parametrize("source", vision.SOURCES)
def test_without_a_network_one_line_names_the_way_out(tmp_path, monkeypatch, capfd, source):
    def offline(*arguments, **options):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    fails(
        lambda: sources.load(source, None, Reading(), tmp_path / "cache"),
        f"cannot download {source} (",
        "Name or service not known",
        "--data-dir DIR",
    )
    assert capfd.readouterr() == ("", "")
    assert not [entry for entry in (tmp_path / "cache").iterdir() if entry.suffix != ".lock"]
    assert vision.will_download(source, None, tmp_path / "cache")


def test_the_system_s_reason_is_told_without_its_number(tmp_path, monkeypatch):
    def offline(*arguments, **options):
        raise urllib.error.URLError(OSError(-3, "Temporary failure in name resolution"))

    monkeypatch.setattr("urllib.request.urlopen", offline)
    download = "cannot download cifar10 (Temporary failure in name resolution): "
    fails(lambda: sources.load("cifar10", None, Reading(), tmp_path / "cache"), download)


def test_a_download_is_kept_and_used_again(tmp_path, monkeypatch):
    calls = []

    def download(self):
        calls.append(self.train)
        if not self._check_exists():
            fashion_files(tmp_path / "served")
            (tmp_path / "served" / "FashionMNIST").rename(self.root / "FashionMNIST")
            (self.root / "FashionMNIST" / "raw" / "archive.gz").write_bytes(b"")

    monkeypatch.setattr(datasets.FashionMNIST, "download", download)
    cache = tmp_path / "cache"
    first = sources.load("fashion-mnist", None, Reading(), cache)
    assert calls == [True, False]
    assert not list(cache.rglob("*.gz")) and not vision.will_download("fashion-mnist", None, cache)
    second = sources.load("fashion-mnist", None, Reading(), cache)
    assert calls == [True, False]
    assert second.fingerprint == first.fingerprint
    assert second.train.read([0]).equal(first.train.read([0]))


def test_an_interrupted_download_leaves_nothing_behind(tmp_path, monkeypatch):
    def download(self):
        (self.root / "half").write_bytes(b"x")
        raise KeyboardInterrupt

    monkeypatch.setattr(datasets.FashionMNIST, "download", download)
    with pytest.raises(KeyboardInterrupt):
        sources.load("fashion-mnist", None, Reading(), tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("half"))


def test_the_fingerprint_is_of_pixels_and_labels(tmp_path):
    first = sources.load("fashion-mnist", fashion_files(tmp_path / "a"), Reading(), tmp_path).fingerprint
    place = fashion_files(tmp_path / "b") / "FashionMNIST" / "raw" / "train-labels-idx1-ubyte"
    assert sources.load("fashion-mnist", tmp_path / "b", Reading(), tmp_path).fingerprint == first
    labels = torch.arange(9, -1, -1, dtype=torch.uint8).numpy()
    place.write_bytes(idx(labels))
    assert sources.load("fashion-mnist", tmp_path / "b", Reading(), tmp_path).fingerprint != first
