"""Parts of distilled sets, and sets joined from parts: what continual learning hands on from task to task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from csdm_cli.artifacts.distilled import (
    PARTS,
    Coded,
    DatasetInfo,
    Decoding,
    Distilled,
    Provenance,
    SoftLabels,
    stored_sha256,
)
from csdm_cli.errors import UsageError
from csdm_cli.names import whole_names
from csdm_cli.parameterisations.decomposition import Decomposition
from csdm_cli.safe_text import counted, shown
from csdm_cli.storage.bounded import adapter

MERGED = "merged"
MOST_NAMES = 20  # of a part's classes; more are counted
MASKS = "masks"  # of classes; all else that is stored and can be divided is of images


@dataclass(frozen=True)
class Joined:
    """A set made of others, and what was decided on the way, in words."""

    distilled: Distilled
    notes: tuple[str, ...]


def select_classes(distilled: Distilled, wanted: Sequence[str]) -> Distilled:
    """The part of a set that shows the ``wanted`` classes, numbered in their order.

    Soft labels keep these classes' probabilities, scaled to sum 1; a row without any becomes its class.

    Args:
        distilled: the set.
        wanted: names of classes, or their numbers where no class has such a name.

    Raises:
        UsageError: if a class is unknown, named twice, or none of them has an image.
    """
    data = distilled.dataset
    labels = [_label_of(name, data.class_names) for name in whole_names(wanted, data.class_names)]
    if twice := [data.class_names[label] for label in labels if labels.count(label) > 1]:
        raise UsageError(f"--classes names {twice[0]} twice")
    _refuse_shared_kernels([distilled], "selected from")
    rows = torch.cat([torch.nonzero(distilled.labels == label).flatten() for label in labels])
    if not len(rows):
        raise UsageError(f"the set has no image of {', '.join(wanted)}")
    names = tuple(data.class_names[label] for label in labels)
    counts = tuple(data.counts[label] for label in labels)
    own = torch.tensor([labels.index(label) for label in distilled.labels[rows].tolist()])
    part = replace(
        distilled,
        stored=_taken(distilled, rows, torch.tensor(labels)),
        labels=own,
        dataset=replace(data, class_names=names, counts=counts, train_fingerprint="", test_fingerprint=""),
        provenance=_derived(distilled.provenance.method, [distilled], {"classes": list(names)}),
        evaluation=_for_classes(distilled.evaluation, len(names)),
        soft_labels=None,
    )
    if (soft := distilled.soft_labels) is None:
        return part
    per_image = distilled.decoding.per_image
    kept = soft.probabilities.reshape(len(distilled.labels), per_image, -1)[rows][..., labels].flatten(0, 1).float()
    totals = kept.sum(1, keepdim=True)
    probabilities = torch.where(totals > 0, kept / totals.clamp_min(1e-12), _one_hot(part))
    return replace(part, soft_labels=replace(soft, probabilities=probabilities))


def merge(sets: Sequence[Distilled], dataset: DatasetInfo | None = None) -> Joined:
    """One set of several that share no class.

    Args:
        sets: two or more.
        dataset: names and order of all classes; None takes them as they come, set after set.

    Raises:
        UsageError: if two sets show the same class, a class is not in ``dataset``, or images differ in shape.
    """
    notes: list[str] = []
    _refuse_shared(sets)
    shapes = {(len(one.dataset.mean), one.decoding.size) for one in sets}
    if len(shapes) > 1:
        found = ", ".join(f"{channels}×{size}×{size}" for channels, size in sorted(shapes))
        raise UsageError(f"the sets' images differ: {found}; sets of one shape can be merged")
    data = dataset or _union([one.dataset for one in sets])
    target = {name: label for label, name in enumerate(data.class_names)}
    _refuse_mixed_codings(sets, data)
    if unknown := [name for one in sets for name in _shown(one) if name not in target]:
        raise UsageError(
            f"the data have {data.classes} classes, and none is {unknown[0]}: name a set of all classes with --data"
        )
    origin = _derived(MERGED, sets, {})
    coded = isinstance(sets[0].decoding, Coded)
    if not coded and len({(one.decoding, one.images.dtype) for one in sets}) > 1:
        notes.append("the sets are stored in different ways: their images were decoded")
        sets = [_undone(one) for one in sets]
    labels = torch.cat([_renumbered(one, target)[one.labels] for one in sets])
    order = labels.argsort(stable=True)
    recipes = [_for_classes(one.evaluation, data.classes) for one in sets]
    if any(recipe != recipes[0] for recipe in recipes):
        notes.append("the sets' evaluation recipes differ: the first one's was kept")
    joined = Distilled(
        stored=_put_together(sets, target, order),
        labels=labels[order],
        dataset=data,
        decoding=sets[0].decoding,
        provenance=origin,
        evaluation=recipes[0],
        value_range=(min(one.value_range[0] for one in sets), max(one.value_range[1] for one in sets)),
    )
    if any(one.soft_labels for one in sets):
        if not all(one.soft_labels for one in sets):
            notes.append("the hard labels of some sets became soft ones, since others have soft labels")
        joined = replace(joined, soft_labels=_joined_soft(sets, target, order))
    return Joined(joined, tuple(notes))


def _refuse_shared_kernels(sets: Sequence[Distilled], verb: str) -> None:
    if any(one.kind == Decomposition.kind for one in sets):
        raise UsageError(f"classes cannot be {verb} a {Decomposition.kind}, whose kernels all of its classes share")


def _refuse_mixed_codings(sets: Sequence[Distilled], data: DatasetInfo) -> None:
    """Raises: UsageError if stored numbers that are not images cannot simply be put beside each other."""
    if not any(isinstance(one.decoding, Coded) for one in sets):
        return
    _refuse_shared_kernels(sets, "merged with")
    if any(one.decoding != sets[0].decoding for one in sets):
        raise UsageError("the sets are stored in different ways: merge sets of one --parameterization, IPC and size")
    if missing := sorted(set(data.class_names) - {name for one in sets for name in _shown(one)}):
        raise UsageError(f"no set shows the class {missing[0]}: a {sets[0].kind} has every class of its data")


def _taken(distilled: Distilled, rows: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """The stored numbers of the images ``rows``, which are those of the classes ``labels``."""
    return {name: tensor[labels if name == MASKS else rows].contiguous() for name, tensor in distilled.stored.items()}


def _put_together(sets: Sequence[Distilled], target: dict[str, int], order: Tensor) -> dict[str, Tensor]:
    """The stored numbers of all sets, in the ``order`` of images that sorts them by class."""
    whole = {name: torch.cat([one.stored[name] for one in sets]) for name in sets[0].stored}
    classes = torch.cat([_renumbered(one, target) for one in sets]).argsort()
    return {name: tensor[classes if name == MASKS else order].contiguous() for name, tensor in whole.items()}


def _label_of(name: str, class_names: Sequence[str]) -> int:
    if name in class_names:
        return list(class_names).index(name)
    if name.isdecimal() and int(name) < len(class_names):
        return int(name)
    shown = ", ".join(class_names[:12]) + (", …" if len(class_names) > 12 else "")
    raise UsageError(f"--classes: the set has no class {name!r}; it has {shown}")


def _shown(distilled: Distilled) -> list[str]:
    """Names of the classes that have images."""
    return [name for name, count in zip(distilled.dataset.class_names, distilled.counts, strict=True) if count]


def _refuse_shared(sets: Sequence[Distilled]) -> None:
    seen: set[str] = set()
    for one in sets:
        names = _shown(one)
        if shared := [name for name in names if name in seen]:
            raise UsageError(
                f"several of the sets show the class {shared[0]}: only sets of different classes are merged"
            )
        seen.update(names)


def _union(parts: Sequence[DatasetInfo]) -> DatasetInfo:
    """All classes in the order they come; the normalisation of all images together."""
    if all(part == parts[0] for part in parts):
        return parts[0]
    counts: dict[str, int] = {}
    for part in parts:
        for name, count in zip(part.class_names, part.counts, strict=True):
            counts[name] = max(count, counts.get(name, 0))
    weights = torch.tensor([sum(part.counts) for part in parts], dtype=torch.float64)
    mean, std = (torch.tensor([getattr(part, name) for part in parts], dtype=torch.float64) for name in ("mean", "std"))
    if bool((mean == mean[0]).all() and (std == std[0]).all()):
        middle, spread = mean[0], std[0]
    else:
        share = (weights / weights.sum()).unsqueeze(1)
        middle = (share * mean).sum(0)
        spread = ((share * (std**2 + mean**2)).sum(0) - middle**2).sqrt()
    name = " + ".join(dict.fromkeys(part.name for part in parts))
    return DatasetInfo(name, tuple(counts), tuple(counts.values()), tuple(middle.tolist()), tuple(spread.tolist()))


def _renumbered(distilled: Distilled, target: dict[str, int]) -> Tensor:
    """The joined label of each of the set's classes; 0 for one without images."""
    return torch.tensor([target.get(name, 0) for name in distilled.dataset.class_names])


def _undone(distilled: Distilled) -> Distilled:
    """The same training images, each stored as it is."""
    size = distilled.decoding.size
    return replace(
        distilled,
        stored={"images": distilled.decoded()},
        labels=distilled.decoded_labels(),
        decoding=Decoding(1, size, size),
    )


def _joined_soft(sets: Sequence[Distilled], target: dict[str, int], order: Tensor) -> SoftLabels:
    per_image, rows = sets[0].decoding.per_image, []
    for one in sets:
        own = one.soft_labels.probabilities.float() if one.soft_labels else _one_hot(one)
        known = torch.tensor([name in target for name in one.dataset.class_names])
        wide = torch.zeros(len(own), len(target))
        wide[:, _renumbered(one, target)[known]] = own[:, known]
        rows.append((wide / wide.sum(1, keepdim=True)).reshape(-1, per_image, len(target)))
    soft = [one.soft_labels for one in sets if one.soft_labels]
    temperatures = {label.temperature for label in soft}
    teachers = "; ".join(dict.fromkeys(label.teacher for label in soft))
    return SoftLabels(
        torch.cat(rows)[order].flatten(0, 1), temperatures.pop() if len(temperatures) == 1 else 1.0, teachers
    )


def _one_hot(distilled: Distilled) -> Tensor:
    """(N · factor², classes) float32."""
    return torch.nn.functional.one_hot(distilled.decoded_labels(), distilled.dataset.classes).float()


def _for_classes(recipe: dict[str, Any], classes: int) -> dict[str, Any]:
    """An evaluation recipe whose network has that many outputs."""
    network = recipe.get("network")
    return recipe | {"network": network | {"classes": classes}} if isinstance(network, dict) else recipe


def _derived(method: str, sets: Sequence[Distilled], config: dict[str, Any]) -> Provenance:
    """The provenance of what was made of ``sets``: all of theirs, with hashes of their images."""
    told = [asdict(one.provenance) | {"classes": _shown(one), "images_sha256": stored_sha256(one)} for one in sets]
    return Provenance.of_run(method, sets[0].provenance.seed, config | {PARTS: told})


@dataclass(frozen=True)
class _Part:
    """A set that another was made of, as far as it is told in words."""

    method: str
    seed: int | None
    classes: list[str]
    images_sha256: str
    config: dict[str, Any]

    def __str__(self) -> str:
        of = [shown(name, 80) for name in self.classes]
        names = f"class{'es' if len(of) > 1 else ''} {', '.join(of)}" if len(of) <= MOST_NAMES else f"{len(of)} classes"
        told = [f"{shown(self.method)}, seed {self.seed}, {names}", f"images sha256 {shown(self.images_sha256[:16])}"]
        further = parts_in_words(self.config)
        return "; ".join(told + ([f"itself made of {counted(len(further), 'set')}"] if further else []))


def own_and_parts(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings of a set's own, and the sets that it was made of as :func:`parts_in_words` tells them."""
    parts = parts_in_words(config)
    return {name: value for name, value in config.items() if not (parts and name == PARTS)}, parts


def parts_in_words(config: Mapping[str, Any]) -> dict[str, str]:
    """Each of the sets that a set with this provenance was made of, in a line by its name, such as ``set 1``.

    Empty for a set that was made of no others, and where a stranger's file tells of them in its own way.
    """
    try:
        parts = adapter(tuple[_Part, ...]).validate_python(config.get(PARTS, ()))
    except ValidationError:
        return {}
    return {f"set {number}": str(part) for number, part in enumerate(parts, start=1)}
