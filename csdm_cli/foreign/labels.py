"""Labels of other tools as classes of a dataset, and as probabilities where they are soft."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.foreign.layouts import ForeignSet

LEAST_AGREEMENT = 0.5  # share of soft labels that must point at an image's place for that to be its class


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of images.

    Attributes:
        classes: (N,) int64.
        probabilities: (N · factor², C) float32, rows summing to 1; None if labels are hard.
        notes: decisions, in words.
    """

    classes: Tensor
    probabilities: Tensor | None
    notes: tuple[str, ...] = ()


def labels_of(found: ForeignSet, path: Path, count: int, class_names: Sequence[str], factor: int) -> Labels:
    """Tell labels apart by their shape and values.

    One number per image is its class, counted from 0 or 1. One row of C numbers per image (or per decoded image) is
    - hard, if one number stands out and all others are equal and none above 0 (one-hot, also centred as KIP's),
    - probabilities, if nonnegative with sum 1; centred ones (FRePo's learned ones) become probabilities again,
    - logits otherwise, which a softmax of temperature 1 turns into probabilities.

    Raises:
        UsageError: if there are no labels, or the names of the set's classes do not lead to the dataset's.
        CsdmError: if labels do not fit the images or the dataset.
    """
    hard, soft = found.labels, found.soft_labels
    if hard is None and soft is None:
        raise UsageError(f"{path} holds no labels: name their file with --labels-file")
    if hard is not None and hard.ndim == 2 and hard.shape[1] > 1:
        hard, soft = None, hard
    own_names = found.class_names
    classes, notes = None if hard is None else _classes(hard, path, count), []
    if classes is not None and own_names is not None and tuple(own_names) != tuple(class_names):
        classes, told = _by_name(classes, own_names, class_names, path)
        notes += told
        if soft is not None:
            soft = None
            notes.append("soft labels were left out: they are of classes in another order")
    elif classes is not None and int(classes.min()) == 1 and int(classes.max()) == len(class_names):
        classes = classes - 1
        notes.append(f"labels from 1 to {len(class_names)} were counted from 1")
    if soft is None:
        assert classes is not None
        return Labels(classes, None, tuple(notes))
    rows = _rows(soft, path, count, len(class_names), factor)
    if classes is None and len(rows) == count and (chosen := _one_hot(rows)) is not None:
        return Labels(chosen, None, tuple(notes))
    probabilities = _probabilities(rows)
    if classes is None:
        classes, told = _classes_of_soft(probabilities.reshape(count, -1, len(class_names)).mean(1))
        notes += told
    repeats = count * factor**2 // len(probabilities)
    return Labels(classes, probabilities.repeat_interleave(repeats, dim=0), tuple(notes))


def _classes(hard: Tensor, path: Path, count: int) -> Tensor:
    hard = hard.squeeze(1) if hard.ndim == 2 else hard
    if hard.ndim != 1 or len(hard) != count:
        raise CsdmError(f"{path} holds labels of shape {tuple(hard.shape)} for {count} images (expected one each)")
    if not hard.double().isfinite().all() or not torch.equal(hard.double(), hard.double().round()):
        raise CsdmError(f"{path} holds one number per image, but not all are whole: they cannot be classes")
    return hard.long()


def _rows(soft: Tensor, path: Path, count: int, classes: int, factor: int) -> Tensor:
    allowed = {(count, classes), (count * factor**2, classes)}
    if tuple(soft.shape) not in allowed:
        expected = " or ".join(map(str, sorted(allowed)))
        raise CsdmError(
            f"{path} holds soft labels of shape {tuple(soft.shape)} (expected {expected}, at factor {factor})"
        )
    if not soft.isfinite().all():
        raise CsdmError(f"{path} holds soft labels that are not finite numbers")
    return soft.float()


def _one_hot(rows: Tensor) -> Tensor | None:
    """The classes (N,), if in every row one number stands out and all others are equal, at most 0."""
    ordered = rows.sort(1).values
    spread = (ordered[:, -1] - ordered[:, 0]).clamp_min(1e-12)
    plain = ((ordered[:, -2] - ordered[:, 0]) <= 1e-4 * spread) & (ordered[:, -2] <= 1e-6) & (spread > 1e-3)
    return rows.argmax(1) if bool(plain.all()) else None


def _probabilities(rows: Tensor) -> Tensor:
    totals = rows.sum(1)
    if rows.min() >= 0 and (totals - 1).abs().max() <= 1e-3:
        return rows
    if totals.abs().max() <= 0.05 and rows.min() < 0 and rows.abs().max() <= 1.5:
        raised = (rows + 1 / rows.shape[1]).clamp_min(0)
        return raised / raised.sum(1, keepdim=True)
    return rows.softmax(1)


def _classes_of_soft(rows: Tensor) -> tuple[Tensor, list[str]]:
    """The class of each image, given a row of probabilities per image.

    Learned soft labels stray from the class whose image they belong to. Where classes share the images evenly, the
    order of the images tells: class after class, or the classes in turn.
    """
    count, classes = rows.shape
    likeliest = rows.argmax(1)
    counts = torch.bincount(likeliest, minlength=classes)
    if count % classes or int(counts.min()) == int(counts.max()):
        return likeliest, []
    places = [torch.arange(classes).repeat_interleave(count // classes), torch.arange(count) % classes]
    agreement, chosen = max(((likeliest == place).float().mean().item(), number) for number, place in enumerate(places))
    if agreement < LEAST_AGREEMENT:
        return likeliest, []
    astray = round((1 - agreement) * count)
    order = ("class after class", "the classes in turn")[chosen]
    return places[chosen], [f"{astray} of {count} soft labels favour another class: classes go by order, {order}"]


def _by_name(classes: Tensor, own: Sequence[str], names: Sequence[str], path: Path) -> tuple[Tensor, list[str]]:
    """Numbers of the set's ``own`` classes as those of the dataset's ``names``.

    By name if every name is known, perhaps without a number before it, else by the number in each name (``new003``),
    else by order if there are as many.
    """
    known = {_folded(name): label for label, name in enumerate(names)}
    held = [own[label] if 0 <= label < len(own) else "" for label in range(int(classes.max()) + 1)]
    plain = [_folded(name) for name in held]
    if not all(name in known for name in plain):
        plain = [_folded(re.sub(r"^\d+_", "", name)) for name in held]
    numbers = [int(found[0]) if len(found := re.findall(r"\d+", name)) == 1 else -1 for name in held]
    notes: list[str] = []
    if all(name in known for name in plain):
        target = [known[name] for name in plain]
    elif len(set(numbers)) == len(held) and min(numbers) >= 0 and max(numbers) < len(names):
        target = numbers
        notes = [f"classes were numbered by the names of their folders, {held[0]} to {held[-1]}"]
    elif sorted(numbers) == list(range(1, len(names) + 1)):
        target = [number - 1 for number in numbers]
        notes = [f"classes were numbered by the names of their folders, from 1 to {len(names)}"]
    elif len(own) == len(names):
        target = list(range(len(held)))
        notes = [f"classes were numbered in the order of their names, {own[0]} to {own[-1]}"]
    else:
        shown = ", ".join(held[:3]) + (", …" if len(held) > 3 else "")
        raise UsageError(
            f"{path} names its {len(own)} classes {shown}, which are none of the dataset's {len(names)}: rename them to"
            " the dataset's names, or to numbers from 0"
        )
    return torch.tensor(target)[classes], notes


def _folded(name: str) -> str:
    return re.sub(r"[\s_/\\:*?\"<>|-]+", "_", name).casefold()
