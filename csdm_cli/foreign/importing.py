"""Sets distilled by other tools, as :class:`Distilled`, so that they are shown, evaluated and exported like our own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from csdm_cli.artifacts.distilled import DatasetInfo, Decoding, Distilled, Provenance, SoftLabels
from csdm_cli.artifacts.validation import first_problem
from csdm_cli.errors import CsdmError
from csdm_cli.foreign.labels import labels_of
from csdm_cli.foreign.layouts import ForeignSet, read_foreign
from csdm_cli.foreign.scales import Scale, pixels_of

METHOD = "imported"


def import_foreign(
    images: Path,
    labels: Path | None,
    *,
    dataset: DatasetInfo,
    size: int,
    factor: int = 1,
    normalised: bool = False,
    unwhiten: Callable[[Tensor], Tensor] | None = None,
    experiment: int | None = None,
    method: str = METHOD,
    evaluation: dict[str, Any] | None = None,
) -> Distilled:
    """Read a set that another tool wrote: see ``layouts``, ``scales`` (of pixels) and ``labels`` in this room.

    What was decided on the way stands in the provenance as ``notes``.

    Args:
        images: the file or folder with the images, perhaps with their labels.
        labels: a file with the labels; None: they are with the images.
        dataset: the set's origin.
        size: height and width of the dataset's images, to which each cell is decoded.
        factor: multi-formation factor the set was made with (IDC, NCFM: usually 2).
        normalised: whether pixels were stored after ``(x - mean) / std``; False tells that by their range.
        unwhiten: undoes the ZCA whitening they were stored after; None: they were not.
        experiment: which of several experiments in a file, from 1; None takes the first.
        method: the name of what distilled it.
        evaluation: recipe to evaluate it with.

    Raises:
        UsageError: if an option is missing or does not fit what the files hold.
        CsdmError: if the files are damaged, or images and labels do not fit together or the dataset.
    """
    found = read_foreign(images, labels, channels=len(dataset.mean), experiment=experiment)
    assert found.images is not None
    pixels, told = pixels_of(found.images, images, dataset, Scale(normalised, unwhiten))
    _refuse_tiny(pixels.shape[2], size, images)
    own = labels_of(found, labels or images, len(pixels), dataset.class_names, factor)
    order = own.classes.argsort(stable=True)
    soft = None
    if own.probabilities is not None:
        rows = own.probabilities.reshape(len(pixels), -1, dataset.classes)[order].flatten(0, 1)
        soft = SoftLabels(rows, 1.0, METHOD)
    low, high = (0.0, 1.0) if not pixels.is_floating_point() else (float(value) for value in pixels.aminmax())
    config = {"factor": factor, "normalised": normalised, "whitened": unwhiten is not None, "experiment": experiment}
    side = pixels.shape[2]
    enlarged = [f"images of {side}×{side} were enlarged to {size}×{size}"] if factor == 1 and side < size else []
    notes = [*found.notes, *told, *own.notes, *enlarged]
    distilled = Distilled(
        stored={"images": pixels[order].contiguous()},
        labels=own.classes[order],
        dataset=dataset,
        decoding=Decoding(factor, pixels.shape[2], size),
        provenance=Provenance.of_run(method, 0, config | {"notes": notes} | _files(found)),
        evaluation=evaluation or {},
        soft_labels=soft,
        value_range=(min(low, 0.0), max(high, 1.0)),
    )
    if problem := first_problem(distilled):
        raise CsdmError(f"{images} cannot be used: it has {problem}")
    return distilled


def _refuse_tiny(side: int, size: int, path: Path) -> None:
    """Images of less than half the dataset's side are of another dataset, or none."""
    if 2 * side < size:
        raise CsdmError(
            f"{path} holds {side}×{side} images, but the dataset's are {size}×{size}: they were distilled from another"
        )


def _files(found: ForeignSet) -> dict[str, Any]:
    """Names and hashes of what was read, without the folders they lie in."""
    config: dict[str, Any] = {}
    for name, paths in (("images", found.files), ("labels", found.labels_files)):
        if paths:
            config[name] = paths[0].name if len(paths) == 1 else f"{paths[0].name} … {paths[-1].name}"
            config[f"{name}_sha256"] = _hash(paths)
    return config


def _hash(paths: Sequence[Path]) -> str:
    """Hash of a file's bytes, or of the bytes of all files in several files and folders."""
    if len(paths) == 1 and paths[0].is_file():
        return hashlib.sha256(paths[0].read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in (file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*")))):
        if file.is_file():
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
