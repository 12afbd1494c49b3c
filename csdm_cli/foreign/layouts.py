"""Images and labels out of what other tools wrote; plain data only, never pickled code.

One file may hold
- ``.npz``, ``.npy``, ``.safetensors``: arrays by name (KIP, FRePo, RFAD, sets on the Hub),
- ``.pt``, ``.pth``: a tensor (MTT, FTD, LTDD, DATM: ``images_best.pt``, its labels in ``labels_best.pt`` beside it),
  a mapping of names to tensors, [images, labels] (NCFM, IDC), a mapping whose ``data`` lists one [images, labels] per
  experiment (DC, DSA, DM, CAFE, IDM, IID, FreD), a list of (images, labels, learning rate) per step
  (Wang et al. 2018), one (image, label) per image, or a tensor of images per class, in a list, by number, or along
  the first of five axes; arrays by names that are not known are told apart by their shapes,
- ``.parquet``: a column of coded images and one of labels.

A folder may hold one such file or pair of files, shards of parquet, or a folder of pictures per class (RDED, SRe2L,
D4M, our own export).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.foreign.pictures import class_folders, read_parquet, read_pictures, read_soft_labels
from csdm_cli.foreign.plain_torch import load_plain
from csdm_cli.storage.plain_numpy import load_array, load_arrays

ARRAYS = (".npz", ".npy", ".pt", ".pth", ".safetensors")
SUFFIXES = (*ARRAYS, ".parquet")
OUR_FILE = "distilled.safetensors"

IMAGES: tuple[str, ...] = (
    *("images", "image", "imgs", "img", "x", "x_syn", "syn_x", "image_syn", "images_syn", "syn_images", "x_proto"),
    *("x_train", "x_distilled", "distilled_images", "pixels", "samples", "inputs", "data"),
)
LABELS: tuple[str, ...] = (
    *("labels", "label", "targets", "target", "y", "y_syn", "syn_y", "label_syn", "labels_syn", "syn_labels"),
    *("y_proto", "y_train", "y_distilled", "distilled_labels", "classes", "hard_labels"),
)
SOFT_LABELS = ("soft_labels", "soft_label", "softlabels", "probabilities", "probs", "logits")


@dataclass(frozen=True)
class ForeignSet:
    """The parts found in a file; None where there was no such thing.

    Attributes:
        images: (N, C, h, h), (N, h, h, C) or (N, h, h), of any type of number.
        labels: (N,) classes, or one row per image.
        soft_labels: one row per image or per decoded image.
        class_names: the names that ``labels`` number, where the set names its classes.
        files, labels_files: origin of images and labels; the latter empty if they are together.
        notes: choices among several things, in words.
    """

    images: Tensor | None
    labels: Tensor | None = None
    soft_labels: Tensor | None = None
    class_names: tuple[str, ...] | None = None
    files: tuple[Path, ...] = ()
    labels_files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


def read_foreign(
    path: Path, labels: Path | None = None, *, channels: int = 3, experiment: int | None = None
) -> ForeignSet:
    """Read images with their labels.

    Args:
        path: a file or a folder.
        labels: a file with the labels; None: they are with the images.
        channels: number of channels of pictures: 1 reads them as grey, 3 as colour.
        experiment: which of several experiments, from 1; None takes the first.

    Raises:
        UsageError: if the file's ending is none of those known, the choice is unclear, or there is no such experiment.
        CsdmError: if something is missing, damaged, holds more than plain arrays, or none that can be images.
    """
    if path.is_dir():
        found = _read_folder(path, channels, experiment, alone=labels is None)
    elif path.suffix.lower() == ".parquet":
        _refuse_missing(path)
        found = replace(_pictures(read_parquet((path,), channels), (path,)), soft_labels=read_soft_labels((path,)))
    else:
        found = replace(_images_in(_load(path), path, experiment), files=(path,))
        beside = _labels_beside(path)
        if labels is None and beside and found.labels is None and found.soft_labels is None:
            found = replace(found, notes=(*found.notes, f"labels were taken from {beside.name} beside the images"))
            labels = beside
    if experiment is not None and not any("experiment" in line for line in found.notes):
        raise UsageError(f"{path} holds one set alone: leave out --experiment")
    if labels is not None:
        only = read_labels(labels)
        found = replace(found, labels=only.labels, soft_labels=only.soft_labels, labels_files=(labels,))
        found = replace(found, class_names=only.class_names or found.class_names)
    return _class_by_class(found)


def _class_by_class(found: ForeignSet) -> ForeignSet:
    """(C, M, channels, h, h) images as (C · M, channels, h, h), with their classes if no labels are told."""
    if found.images is None or found.images.ndim != 5:
        return found
    classes, each = found.images.shape[:2]
    flat = replace(found, images=found.images.flatten(0, 1))
    if found.labels is not None or found.soft_labels is not None:
        return flat
    note = "every class had a place of its own along the first axis"
    return replace(flat, labels=torch.arange(classes).repeat_interleave(each), notes=(*found.notes, note))


def read_labels(path: Path) -> ForeignSet:
    """Read labels alone: one array, or those named as labels.

    Raises:
        UsageError, CsdmError: as :func:`read_foreign`.
    """
    content = _load(path)
    if isinstance(content, Mapping):
        (labels, names), soft = _named_labels(content, path), _named(content, SOFT_LABELS, path)
        if labels is not None or soft is not None:
            return ForeignSet(None, labels, soft, names)
        if len(content) != 1:
            raise CsdmError(f"{path} holds {_names(content)} (expected labels or soft_labels, or one array)")
        content = next(iter(content.values()))
    labels, names = _labels(content, path, "labels")
    return ForeignSet(None, labels, class_names=names)


def _read_folder(folder: Path, channels: int, experiment: int | None, *, alone: bool) -> ForeignSet:
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.suffix.lower() in SUFFIXES)
    if folder.joinpath(OUR_FILE).is_file():
        raise UsageError(f"{folder} holds a set of csdm already ({OUR_FILE}): it needs no import")
    if folders := class_folders(folder, deeper=not files):
        return _pictures(read_pictures(folders, channels), tuple(folders))
    shards = [file for file in (*files, *sorted(folder.glob("data/*.parquet"))) if file.suffix.lower() == ".parquet"]
    if shards:
        chosen = [file for file in shards if file.name.startswith("train")] or shards
        return replace(_pictures(read_parquet(chosen, channels), tuple(chosen)), soft_labels=read_soft_labels(chosen))
    images = [file for file in files if not alone or _labels_beside(file)] or files
    best = [file for file in images if "best" in file.stem] or images
    if not best:
        raise CsdmError(
            f"{folder} holds neither folders of pictures, one per class, nor a file ending in {', '.join(SUFFIXES)}"
        )
    if len(best) > 1:
        listed = ", ".join(file.name for file in best[:4]) + (", …" if len(best) > 4 else "")
        raise UsageError(f"{folder} holds several files ({listed}): name the one with the images")
    found = read_foreign(best[0], channels=channels, experiment=experiment)
    return replace(found, notes=(f"images were taken from {best[0].name}", *found.notes))


def _pictures(found: tuple[Tensor, Tensor, tuple[str, ...] | None], files: tuple[Path, ...]) -> ForeignSet:
    images, labels, names = found
    return ForeignSet(images, labels, class_names=names, files=files)


def _labels_beside(images: Path) -> Path | None:
    """The file of labels that belongs to a file of images, by its name."""
    for word in ("images_zca", "images", "image", "imgs", "x_"):
        if images.name.startswith(word):
            start = {"image": "label", "x_": "y_"}.get(word, "labels")
            found = images.with_name(start + images.name.removeprefix(word))
            if found.is_file():
                return found
    return None


def _load(path: Path) -> Any:
    if path.suffix.lower() not in ARRAYS:
        missing = "" if path.exists() else " (it does not exist)"
        raise UsageError(f"{path}: expected a folder, or a file ending in {', '.join(SUFFIXES)}{missing}")
    _refuse_missing(path)
    if path.suffix.lower() in (".pt", ".pth"):
        return load_plain(path)
    return _load_safetensors(path) if path.suffix.lower() == ".safetensors" else _load_numpy(path)


def _refuse_missing(path: Path) -> None:
    if not path.is_file():
        raise CsdmError(f"{path} is not a file" if path.exists() else f"{path} does not exist")


def _load_numpy(path: Path) -> Any:
    try:
        if path.suffix.lower() == ".npy":
            return torch.from_numpy(load_array(path))
        arrays = load_arrays(path)
        texts = {name: array.tolist() for name, array in arrays.items() if array.dtype.kind == "U"}
        return texts | {name: torch.from_numpy(array) for name, array in arrays.items() if array.dtype.kind in "biuf"}
    except TypeError as error:  # of texts, or of more bits than torch has
        raise CsdmError(f"{path} holds values that are no numbers of up to 64 bits") from error


def _load_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            if "csdm" in (file.metadata() or {}):
                raise UsageError(f"{path} is a set of csdm already: it needs no import")
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    except (SafetensorError, OSError) as error:
        raise CsdmError(f"{path} is damaged: it is not a safetensors file") from error


def _images_in(content: Any, path: Path, experiment: int | None) -> ForeignSet:
    if isinstance(content, Tensor):
        return ForeignSet(_tensor(content, path, "images"))
    if isinstance(content, Mapping):
        return _of_mapping(content, path, experiment)
    if isinstance(content, list | tuple) and content:
        return _of_list(content, path, experiment)
    raise CsdmError(f"{path} holds a {type(content).__name__} that is not [images, labels]")


def _of_mapping(content: Mapping[Any, Any], path: Path, experiment: int | None) -> ForeignSet:
    held = {str(name).lower(): value for name, value in content.items()}
    for value in (held.get("data"), *(held.values() if len(held) == 1 else ())):
        if isinstance(value, list | tuple | Mapping) and value:
            return _images_in(value, path, experiment)
    if len(held) > 1 and all(name.isdecimal() for name in held):
        return _of_classes({int(name): value for name, value in held.items()}, path)
    (labels, names), soft = _named_labels(held, path), _named(held, SOFT_LABELS, path)
    images = _named(held, IMAGES, path)
    if images is None and len(held) == 1:
        images = _tensor(next(iter(held.values())), path, "images")
    found = ForeignSet(images, labels, soft, names or _class_names(held))
    if images is None or (labels is None and soft is None):
        found = _by_shape(held, found)
    if found.images is None:
        raise CsdmError(f"{path} holds {_names(content)} (expected images and labels, or one array)")
    return found


def _by_shape(held: Mapping[str, Any], found: ForeignSet) -> ForeignSet:
    """``found``, with the only tensors that can be images, and labels of them, where their names tell of none."""
    tensors = {name: value for name, value in held.items() if isinstance(value, Tensor) and value.ndim}
    notes = []
    if found.images is None:
        pictures = [name for name, value in tensors.items() if value.ndim in (3, 4, 5)]
        if len(pictures) != 1:
            return found
        found = replace(found, images=tensors[pictures[0]].detach())
        notes.append(f"{pictures[0]} was taken as the images")
    assert found.images is not None
    if found.labels is None and found.soft_labels is None:
        count = len(found.images)
        rows = [name for name, value in tensors.items() if value.ndim in (1, 2) and len(value) == count]
        if len(rows) == 1:
            found = replace(found, labels=tensors[rows[0]].detach())
            notes.append(f"{rows[0]} was taken as the labels")
    return replace(found, notes=(*found.notes, *notes))


def _of_list(content: Sequence[Any], path: Path, experiment: int | None) -> ForeignSet:
    if all(isinstance(item, Tensor) and item.ndim == 4 for item in content):
        return _of_classes(dict(enumerate(content)), path)
    if isinstance(content[0], Tensor):
        return _pair(content, path)
    if not all(isinstance(item, list | tuple) and item for item in content):
        raise CsdmError(f"{path} holds a list that is not [images, labels]")
    if all(len(item) == 2 and getattr(item[0], "ndim", 0) == 3 and _is_number(item[1]) for item in content):
        return _of_singles(content, path)
    sets = [_pair(item, path) for item in content]
    if experiment is None and all(len(item) == 3 for item in content):
        images, labels = (torch.cat([_tensor(item[place], path, "images") for item in content]) for place in (0, 1))
        note = f"the images of all {len(sets)} steps were joined; their learning rates were left out"
        return ForeignSet(images, labels, notes=(note,) if len(sets) > 1 else ())
    number = 1 if experiment is None else experiment
    if not 1 <= number <= len(sets):
        raise UsageError(f"{path} holds {len(sets)} experiments: --experiment must be from 1 to {len(sets)}")
    note = f"experiment {number} of {len(sets)} was taken" + ("" if experiment else " (--experiment N takes another)")
    return replace(sets[number - 1], notes=(note,) if len(sets) > 1 or experiment else ())


def _of_classes(content: Mapping[int, Any], path: Path) -> ForeignSet:
    """One tensor of images for each class, by its number."""
    parts = {label: _tensor(content[label], path, f"class {label}") for label in sorted(content)}
    if len({part.shape[1:] for part in parts.values()}) != 1:
        raise CsdmError(f"{path} holds classes whose images differ in shape")
    labels = torch.tensor([label for label, part in parts.items() for _ in range(len(part))])
    return ForeignSet(torch.cat(list(parts.values())), labels, notes=("every class was a tensor of its own",))


def _of_singles(content: Sequence[Any], path: Path) -> ForeignSet:
    """One (image, label) for each image."""
    images = [_tensor(item[0], path, "an image") for item in content]
    if len({image.shape for image in images}) != 1:
        raise CsdmError(f"{path} holds images that differ in shape")
    return ForeignSet(torch.stack(images), torch.tensor([int(item[1]) for item in content]))


def _pair(content: Sequence[Any], path: Path) -> ForeignSet:
    """[images, labels], perhaps with a learning rate behind them."""
    if len(content) < 2 or not all(map(_is_number, content[2:])):
        raise CsdmError(f"{path} holds a list of {len(content)} that is not [images, labels]")
    labels, names = _labels(content[1], path, "labels")
    return ForeignSet(_tensor(content[0], path, "images"), labels, class_names=names)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or getattr(value, "numel", int)() == 1


def _named_labels(content: Mapping[Any, Any], path: Path) -> tuple[Tensor | None, tuple[str, ...] | None]:
    """The labels under the first of their usual names that is there, and the classes' names if they are texts."""
    held = {str(name).lower(): value for name, value in content.items()}
    name = next((name for name in LABELS if name in held), None)
    return (None, None) if name is None else _labels(held[name], path, name)


def _class_names(held: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names that the labels number, where the file tells them, as those that csdm exports do."""
    value = held.get("class_names")
    if isinstance(value, list | tuple) and value and all(isinstance(name, str) for name in value):
        return tuple(value)
    return None


def _labels(value: Any, path: Path, name: str) -> tuple[Tensor, tuple[str, ...] | None]:
    """Labels as an array; texts as the numbers of their names in order, and these names."""
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) for item in value):
        numbers = {text: number for number, text in enumerate(sorted(set(value)))}
        return torch.tensor([numbers[text] for text in value]), tuple(numbers)
    return _tensor(value, path, name), None


def _named(content: Mapping[Any, Any], names: Sequence[str], path: Path) -> Tensor | None:
    """The value under the first of ``names`` that is there."""
    held = {str(name).lower(): value for name, value in content.items()}
    name = next((name for name in names if name in held), None)
    return None if name is None else _tensor(held[name], path, name)


def _tensor(value: Any, path: Path, name: str) -> Tensor:
    """A plain, dense tensor without gradient.

    Raises:
        CsdmError: if it is anything else.
    """
    if isinstance(value, list | tuple) and value and all(isinstance(item, int | float) for item in value):
        return torch.tensor(value)
    if not isinstance(value, Tensor):
        raise CsdmError(f"{path}: {name} is a {type(value).__name__} (expected an array)")
    if value.layout is not torch.strided or value.is_quantized or value.is_complex() or value.device.type != "cpu":
        kind = "quantised" if value.is_quantized else str(value.layout if value.is_sparse else value.dtype)
        kind = "without data (meta)" if value.device.type == "meta" else kind.removeprefix("torch.")
        raise CsdmError(f"{path}: {name} is a tensor {kind} (expected a plain, dense one)")
    return value.detach()


def _names(content: Mapping[Any, Any]) -> str:
    return ", ".join(map(str, content)) or "nothing"
