"""A long-tailed set that is there is taken for the one asked for only if it is of the images asked for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from csdm_cli.artifacts.file import save_distilled
from csdm_cli.data.store import LongTail
from csdm_cli.errors import CsdmError
from csdm_cli.runs.long_tail import find_or_make, given
from csdm_cli.settings.sections import MakeLt
from tests.artifacts.sets import make_set
from tests.data.pictures import coded, noise, parquet_file


def images_in(folder: Path, seed: int) -> Path:
    """Two images of each of ten classes, to learn from and to test on."""
    for number, part in enumerate(("train", "test")):
        images = [coded(noise(seed + 100 * number + index, 32, 32)) for index in range(20)]
        parquet_file(folder / f"{part}-00000-of-00001.parquet", images, [index % 10 for index in range(20)])
    return folder


def made(folder: Path, dataset: str = "cifar10") -> LongTail:
    return find_or_make(MakeLt(dataset=dataset, data_dir=folder, imbalance=1, n_max=2), quiet=True)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_known_dataset_of_other_files_makes_another_set() -> None:
    """As of lossless files in the place of JPEG-coded ones: the folder is named for the dataset alone."""
    first = made(images_in(Path("one"), 0))
    assert made(Path("one")).manifest == first.manifest
    other = made(images_in(Path("two"), 1000))
    assert other.folder == first.folder
    assert other.manifest.fingerprints["train"] != first.manifest.fingerprints["train"]


def test_the_files_of_a_known_dataset_may_be_gone() -> None:
    first = made(images_in(Path("one"), 0))
    shutil.rmtree("one")
    assert made(Path("one")).manifest == first.manifest


def test_a_folder_of_ones_own_may_not() -> None:
    made(images_in(Path("one"), 0), "folder")
    shutil.rmtree("one")
    with pytest.raises(CsdmError, match="one"):
        made(Path("one"), "folder")


def test_images_that_changed_in_place_make_another_set() -> None:
    """Names and sizes are those of before: when the files were written tells."""
    for name in ("cat", "dog"):
        Path("pets", name).mkdir(parents=True)
        for number in range(4):
            Path("pets", name, f"{number}.bmp").write_bytes(coded(noise(number, 8, 8), "BMP"))
    settings = MakeLt(dataset="folder", data_dir=Path("pets"), profile="as-is", test_per_class=1)
    first = find_or_make(settings, quiet=True)
    assert find_or_make(settings, quiet=True).manifest == first.manifest
    later = (first.folder / "manifest.json").stat().st_mtime + 2
    for file in Path("pets", "cat").iterdir():
        file.write_bytes(coded(noise(100, 8, 8), "BMP"))
        os.utime(file, (later, later))
    other = find_or_make(settings, quiet=True)
    assert other.manifest.source_fingerprint == first.manifest.source_fingerprint
    assert other.manifest.fingerprints["train"] != first.manifest.fingerprints["train"]


def test_a_distilled_set_in_the_place_of_data_is_called_so() -> None:
    """Also where the pictures of its evaluation, in a folder below, would pass for images of a class."""
    save_distilled(Path("one/distilled.safetensors"), make_set())
    for place in (Path("one"), Path("one/distilled.safetensors")):
        with pytest.raises(CsdmError, match=f"^{place} is a distilled set: name the folder that it was distilled from"):
            given(place)
    Path("one/evaluate").mkdir()
    shutil.copy(coded_file(Path("picture.png")), "one/evaluate/accuracy.png")
    with pytest.raises(CsdmError, match="one is a distilled set"):
        given(Path("one"))


def coded_file(path: Path) -> Path:
    path.write_bytes(coded(noise(0, 8, 8)))
    return path
