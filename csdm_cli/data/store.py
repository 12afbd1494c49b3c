"""A long-tailed set on disk: a folder whose bytes follow from its settings alone.

``manifest.json`` says what it is, with a hash of itself that every stage compares. ``train.safetensors`` and
``dev.safetensors`` hold class-sorted uint8 images, ``test.safetensors`` the untouched test set, which only
:mod:`csdm_cli.data.holdout` opens. Sets of earlier releases, whose manifests have no hash, are made again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csdm_cli.errors import CsdmError
from csdm_cli.names import EvaluationSplit
from csdm_cli.storage import atomic, kinds, outputs, seal, tensorfile
from csdm_cli.storage.bounded import adapter, parsed_json

if TYPE_CHECKING:
    from csdm_cli.images.image_set import ImageSet

SCHEMA = 2  # 1 had no hash of the manifest

SEAL = "sha256"  # of the manifest's other fields, in the manifest

MANIFEST_FILE = "manifest.json"

TRAIN_FILE = "train.safetensors"

DEV_FILE = "dev.safetensors"
TEST_FILE = "test.safetensors"

DATA_ROOT = Path("data")

MOST_CHANNELS, LARGEST_SIDE = 256, 65536  # more is no image of ours

UNWRITTEN: dict[str, Any] = {"held_out": [], "read_as": {}}  # fields that are not written where they say nothing
AGAIN = "run csdm make-lt again, which gives the same images"

# All that a set's folder holds; without dev.safetensors where no development set was asked for.
FILES = {
    MANIFEST_FILE: kinds.containing('"source_fingerprint"', '"test_counts"', '"selected"', '"dev_per_class"'),
    **dict.fromkeys((TRAIN_FILE, DEV_FILE, TEST_FILE), kinds.tensors('\\"schema\\"', '"images":')),
}


@dataclass(frozen=True)
class Manifest:
    """The description of a long-tailed set. It holds no time, host or path: equal settings give equal bytes.

    Attributes:
        dataset: name of the source.
        classes, class_names: in label order.
        counts: training images per class.
        test_counts: test images per class.
        dev_per_class: images per class of the development set; 0 without one.
        channels, size: number of channels of every image; height and width are equal.
        mean, std: per channel, of pixels in [0, 1]: the normalisation networks expect.
        profile, imbalance, n_max, class_order, split, seed: the settings, with defaults filled in.
        jpeg: whether the source's images were JPEG-coded; None if unknown.
        origin: kind of source ("torchvision", "parquet", "image folder", ...).
        source_fingerprint: hash of the source as it was read.
        ltdd_images: whether ``split = ltdd`` chose LTDD's very images; None for other splits. False means LTDD's
            positions in another file order.
        fingerprints: :meth:`ImageSet.fingerprint` of "train", "test" and, if there is one, "dev".
        selected: per class, the images' positions in the source's training set, in stored order.
        reserved: the same for the development set.
        versions: version numbers of the packages that decide the bytes.
        held_out: per class, the test images' positions in the source's training set, where the source had no test set
            of its own; empty where it had one, and then not written.
        read_as: settings of ``make_lt`` that say how the source was read and what was held out, where they are not the
            defaults; not written if there are none.
    """

    dataset: str
    classes: int
    class_names: tuple[str, ...]
    counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    dev_per_class: int
    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    profile: str
    imbalance: float
    n_max: int
    class_order: str
    split: str
    seed: int
    jpeg: bool | None
    origin: str
    source_fingerprint: str
    ltdd_images: bool | None
    fingerprints: dict[str, str]
    selected: tuple[tuple[int, ...], ...]
    reserved: tuple[tuple[int, ...], ...]
    versions: dict[str, str]
    held_out: tuple[tuple[int, ...], ...] = ()
    read_as: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: dict[str, Any], place: Path) -> Manifest:
        """Raises CsdmError, naming ``place``, if fields are missing, unknown, altered or contradict each other."""
        from pydantic import ValidationError

        if value.get("schema") != SCHEMA:
            raise CsdmError(f"{place} is not a manifest of this csdm (schema {SCHEMA}): {AGAIN}")
        own = UNWRITTEN | {name: told for name, told in value.items() if name not in ("schema", SEAL)}
        names = {known.name for known in fields(cls)}
        if wrong := names ^ own.keys() | {SEAL} - value.keys():
            raise CsdmError(f"{place} is damaged: fields missing or unknown: {', '.join(sorted(wrong))}; {AGAIN}")
        if not seal.is_whole(value, SEAL):
            raise CsdmError(f"{place} was changed after make-lt wrote it (its hash is another): {AGAIN}")
        try:
            manifest = adapter(cls).validate_json(json.dumps(own), strict=True)
        except ValidationError as error:
            wrong_one = next(iter(error.errors()[0]["loc"]), "text")
            raise CsdmError(f"{place} is damaged: its field {wrong_one!r} is of a wrong type; {AGAIN}") from error
        if problem := manifest.contradiction():
            raise CsdmError(f"{place} is damaged: its fields contradict each other ({problem}); {AGAIN}")
        return manifest

    def contradiction(self) -> str | None:
        """The first thing that cannot be true of any set; None if all can."""
        per_class = (self.class_names, self.counts, self.test_counts, self.selected)
        sets = {"train", "test"} | ({"dev"} if self.dev_per_class else set())
        checks = {
            "classes": self.classes >= 1 and all(len(item) == self.classes for item in per_class),
            "counts": min(self.counts, default=0) >= 1 and min(self.test_counts, default=0) >= 0,
            "selected": tuple(map(len, self.selected)) == self.counts,
            "dev_per_class": self.dev_per_class >= 0
            and len(self.reserved) == (self.classes if self.dev_per_class else 0)
            and all(len(positions) == self.dev_per_class for positions in self.reserved),
            "n_max": self.n_max == max(self.counts, default=0),
            "channels, size": 1 <= self.channels <= MOST_CHANNELS and 1 <= self.size <= LARGEST_SIDE,
            "mean, std": len(self.mean) == len(self.std) == self.channels
            and all(map(math.isfinite, self.mean))
            and all(0 < value < math.inf for value in self.std),
            "imbalance": 1 <= self.imbalance < math.inf,
            "fingerprints": self.fingerprints.keys() == sets,
        }
        return next((name for name, holds in checks.items() if not holds), None)

    @property
    def title(self) -> str:
        """The set in the title of a table: its data and β."""
        return f"{self.dataset}, β {self.imbalance:.4g}"

    def untested(self, split: str = EvaluationSplit.test) -> tuple[str, ...]:
        """Names of the classes that ``split``, which students are tested on, has no image of."""
        if split != EvaluationSplit.test:
            return ()
        return tuple(name for name, count in zip(self.class_names, self.test_counts, strict=True) if not count)

    def to_text(self) -> str:
        """JSON with one field per line, so that long lists stay on theirs, and a hash of all."""
        told = {name: value for name, value in asdict(self).items() if value or name not in UNWRITTEN}
        values = told | {"schema": SCHEMA}
        pairs = sorted(seal.sealed(values, SEAL).items())
        lines = (f"  {json.dumps(name)}: {json.dumps(value, sort_keys=True, allow_nan=False)}" for name, value in pairs)
        return "{\n" + ",\n".join(lines) + "\n}\n"


@dataclass(frozen=True)
class LongTail:
    """A long-tailed set in its folder; images are read when asked for."""

    folder: Path
    manifest: Manifest

    def train(self) -> ImageSet:
        """The long-tailed training set.

        Raises:
            CsdmError: if the file is missing or its images are not the manifest's.
        """
        return read_images(self, TRAIN_FILE, self.manifest.counts, self.manifest.fingerprints["train"])

    def dev(self) -> ImageSet:
        """The balanced development set.

        Raises:
            CsdmError: if the set was made without one; and as :meth:`train`.
        """
        if not self.manifest.dev_per_class:
            raise CsdmError(f"{self.folder} has no development set: make it with csdm make-lt --dev K")
        counts = (self.manifest.dev_per_class,) * self.manifest.classes
        return read_images(self, DEV_FILE, counts, self.manifest.fingerprints["dev"])


def write_longtail(folder: Path, manifest: Manifest, train: ImageSet, dev: ImageSet | None, test: ImageSet) -> LongTail:
    """Write the set to ``folder``, whole or not at all; an older set there is replaced.

    Raises:
        CsdmError: if ``folder`` holds something else than a long-tailed set, or cannot be written.
    """
    with outputs.replaced_folder(folder, FILES) as place:
        for name, images in ((TRAIN_FILE, train), (DEV_FILE, dev), (TEST_FILE, test)):
            if images is not None:
                tensorfile.save(place / name, {"images": images.images}, {"schema": SCHEMA})
        atomic.write_text(place / MANIFEST_FILE, manifest.to_text())
    return LongTail(folder, manifest)


def open_longtail(folder: Path) -> LongTail:
    """Read the manifest alone.

    Raises:
        CsdmError: if ``folder`` is no long-tailed set, or its manifest is damaged.
    """
    place = folder / MANIFEST_FILE
    try:
        value = parsed_json(place.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise CsdmError(f"{folder} is not a long-tailed set (no {MANIFEST_FILE}): make one with csdm make-lt") from None
    except OSError as error:
        raise CsdmError(f"cannot read {place}: {error.strerror or error}") from error
    except ValueError as error:
        raise CsdmError(f"{place} is damaged: it is not JSON; {AGAIN}") from error
    if not isinstance(value, dict):
        raise CsdmError(f"{place} is damaged: it is not a JSON object; {AGAIN}")
    return LongTail(folder, Manifest.from_json(value, place))


def newest_longtail(data_root: Path = DATA_ROOT) -> LongTail:
    """The long-tailed set below ``data_root`` whose manifest was written last.

    Raises:
        CsdmError: if there is none.
    """
    manifests = [(place.stat().st_mtime_ns, str(place), place.parent) for place in _manifests(data_root)]
    if not manifests:
        raise CsdmError(f"no long-tailed set in {data_root}/: make one first, for example csdm make-lt cifar10")
    return open_longtail(max(manifests)[2])


def find_by_fingerprints(test: str, train: str = "", data_root: Path = DATA_ROOT) -> LongTail:
    """The long-tailed set below ``data_root`` with these images (the newest of several).

    Args:
        test: fingerprint of its test images.
        train: fingerprint of its training images; empty if any will do.
        data_root: where to look.

    Raises:
        CsdmError: if there is none.
    """
    places = sorted(_manifests(data_root), key=lambda place: (place.stat().st_mtime_ns, str(place)), reverse=True)
    others = []
    for place in places:
        try:
            longtail = open_longtail(place.parent)
        except CsdmError:
            continue  # a damaged neighbour says nothing about the set sought
        found = longtail.manifest.fingerprints
        if found["test"] == test:
            if train in ("", found["train"]):
                return longtail
            others.append(str(longtail.folder))
    if others:
        raise CsdmError(
            f"no long-tailed set in {data_root}/ has the training images {train[:12]}…; {others[0]} has the same test"
            " images, but another tail: make the set again with csdm make-lt, or name its folder with --data"
        )
    raise CsdmError(
        f"no long-tailed set in {data_root}/ has the test set {test[:12]}…: name its folder with --data, "
        "or make it again with csdm make-lt"
    )


def read_images(longtail: LongTail, name: str, counts: Sequence[int], fingerprint: str) -> ImageSet:
    """Read one of the folder's image files and compare it with the manifest.

    Raises:
        CsdmError: if the file is missing, damaged, or not the one the manifest describes.
    """
    from csdm_cli.images.image_set import ImageSet

    path, manifest = longtail.folder / name, longtail.manifest
    tensors, _ = tensorfile.load(path, verify=False, sealed=False)  # the fingerprint below covers every byte
    images = tensors.get("images")
    shape = (sum(counts), manifest.channels, manifest.size, manifest.size)
    if images is None or tuple(images.shape) != shape or str(images.dtype) != "torch.uint8":
        raise CsdmError(f"{path} does not hold the images that {MANIFEST_FILE} describes: run csdm make-lt again")
    found = ImageSet(images, tuple(counts), manifest.class_names, manifest.mean, manifest.std)
    if found.fingerprint() != fingerprint:
        raise CsdmError(f"{path} is damaged: its bytes do not match {MANIFEST_FILE}; run csdm make-lt again")
    return found


def is_in(folder: Path, data_root: Path = DATA_ROOT) -> bool:
    """Whether a set in ``folder`` is among those that :func:`newest_longtail` looks at."""
    return any(place.parent.resolve() == folder.resolve() for place in _manifests(data_root))


def _manifests(data_root: Path) -> Iterator[Path]:
    """Manifests of ``data_root`` itself and of folders up to two levels below, but not of half-written ones."""
    for pattern in (MANIFEST_FILE, f"*/{MANIFEST_FILE}", f"*/*/{MANIFEST_FILE}"):
        for place in data_root.glob(pattern):
            if not any(part.startswith(".") for part in place.relative_to(data_root).parts):
                yield place
