"""Tiny ImageNet as it is distributed: train/WNID/images/, and val/images/ with val_annotations.txt."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from csdm_cli.data.sources import folder
from csdm_cli.data.sources.folder import LabelledFiles
from csdm_cli.data.sources.found_files import images_below
from csdm_cli.data.sources.raw import RawDataset
from csdm_cli.data.sources.reading import Reading
from csdm_cli.errors import CsdmError

UNPACKED = "tiny-imagenet-200"
ANNOTATIONS = "val_annotations.txt"


def load(data_dir: Path, reading: Reading) -> RawDataset:
    """Open Tiny ImageNet: 200 classes by WordNet id, 500 training and 50 validation images each.

    The validation images are the test set: the official test labels are withheld. A copy whose validation images
    were sorted into val/WNID/ is read as well.

    Args:
        data_dir: the unpacked folder, or the one that holds ``tiny-imagenet-200``.
        reading: size and channels of the images.

    Raises:
        CsdmError: if folders or annotations are missing, or contradict each other.
    """
    root = data_dir / UNPACKED if (data_dir / UNPACKED).is_dir() else data_dir
    annotations = root / "val" / ANNOTATIONS
    if not annotations.is_file():
        raw = folder.load(root, reading)
    else:
        train = root / "train"
        classes = sorted(entry.name for entry in train.iterdir() if entry.is_dir()) if train.is_dir() else []
        per_class = [images_below(train / wnid).images for wnid in classes]
        files = LabelledFiles(
            tuple(file for own in per_class for file in own),
            tuple(label for label, own in enumerate(per_class) for _ in own),
        )
        raw = folder.from_files(root, files, _validation(annotations, classes), tuple(classes), reading)
    return replace(raw, class_names=_readable_names(raw.class_names, root / "words.txt"))


def present(data_dir: Path) -> bool:
    """Whether the folder is Tiny ImageNet as it is distributed, or holds it."""
    return any((root / "val" / ANNOTATIONS).is_file() for root in (data_dir, data_dir / UNPACKED))


def _validation(annotations: Path, classes: list[str]) -> LabelledFiles:
    """The labelled validation files; each line is "file, WordNet id, box", separated by tabs."""
    label_of = {wnid: label for label, wnid in enumerate(classes)}
    files, labels = [], []
    for number, line in enumerate(annotations.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        name, _, rest = line.partition("\t")
        label = label_of.get(rest.partition("\t")[0].strip())
        if label is None:
            raise CsdmError(f"{annotations}, line {number}: no training class is called {rest.partition(chr(9))[0]!r}")
        file = annotations.parent / "images" / name
        if not file.is_file():
            raise CsdmError(f"{annotations}, line {number}: {file} does not exist")
        files.append(file)
        labels.append(label)
    return LabelledFiles(tuple(files), tuple(labels))


def _readable_names(wnids: tuple[str, ...], words: Path) -> tuple[str, ...]:
    """The first word for each WordNet id, or the id itself where there is none or it is not unique."""
    if not words.is_file():
        return wnids
    pairs = (line.partition("\t") for line in words.read_text(encoding="utf-8").splitlines())
    word_of = {wnid: text.split(",")[0].strip() for wnid, _, text in pairs}
    names = [word_of.get(wnid) or wnid for wnid in wnids]
    uses = Counter(names)
    return tuple(name if uses[name] == 1 else wnid for name, wnid in zip(names, wnids, strict=True))
