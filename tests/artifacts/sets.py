"""Small distilled sets, made of random pixels or other numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from csdm_cli.artifacts.file import Coded, DatasetInfo, Decoding, Distilled, Provenance, SoftLabels, to_uint8
from csdm_cli.names import Parameterization
from csdm_cli.parameterisations.choose import chosen
from csdm_cli.parameterisations.parameterisation import Shape
from csdm_cli.parameterisations.stored import described


def dataset_info(classes: int = 3, channels: int = 3, **changes: Any) -> DatasetInfo:
    known: dict[str, Any] = {
        "name": "toy",
        "class_names": tuple(f"class {label}" for label in range(classes)),
        "counts": tuple(2 ** (classes - label) for label in range(classes)),
        "mean": (0.5, 0.4, 0.3)[:channels],
        "std": (0.25, 0.2, 0.1)[:channels],
        "train_fingerprint": "ab" * 32,
        "test_fingerprint": "cd" * 32,
    }
    return DatasetInfo(**known | changes)


def random_soft(rows: int, classes: int) -> SoftLabels:
    logits = torch.randn(rows, classes, generator=torch.Generator().manual_seed(1))
    return SoftLabels(logits.softmax(1), temperature=2.0, teacher="2 x convnet")


def make_set(
    classes: int = 3, ipc: int = 2, side: int = 8, size: int = 8, factor: int = 2, channels: int = 3, **changes: Any
) -> Distilled:
    """A sound set; ``changes`` replace fields of :class:`Distilled`, ``soft=True`` adds soft labels."""
    pixels = torch.rand(classes * ipc, channels, side, side, generator=torch.Generator().manual_seed(0))
    if "images" in changes:
        changes["stored"] = {"images": changes.pop("images")}
    known: dict[str, Any] = {
        "stored": {"images": to_uint8(pixels)},
        "labels": torch.arange(classes).repeat_interleave(ipc),
        "dataset": dataset_info(classes, channels),
        "decoding": Decoding(factor, side, size),
        "provenance": Provenance("csdm", 7, {"ipc": ipc, "lr": 0.01}, "0123456789abcdef", {"csdm": "1", "torch": "2"}),
        "evaluation": {"network": {"name": "convnet", "depth": 3, "norm": "instance"}, "steps": 100, "lr": 1e-3},
    }
    if changes.pop("soft", False):
        known["soft_labels"] = random_soft(classes * ipc * factor**2, classes)
    return Distilled(**known | changes)


def cifar_set(**changes: Any) -> Distilled:
    """A sound set of ten classes that is called CIFAR-10's."""
    return make_set(classes=10, ipc=2, dataset=dataset_info(10, name="cifar10"), **changes)


def coded_set(kind: str = "frequency", classes: int = 3, ipc: int = 2, size: int = 8, **changes: Any) -> Distilled:
    """A sound set whose images are computed from other numbers; ``soft=True`` adds soft labels."""
    shape = Shape(classes, 3, size)
    rng = torch.Generator().manual_seed(0)
    real = [torch.rand(9, 3, size, size, generator=rng) for _ in range(classes)]
    form = chosen(Parameterization(kind), shape, ipc, lambda: real)
    start = torch.rand(classes * form.per_class, 3, size, size, generator=rng)
    if changes.pop("soft", False):
        changes["soft_labels"] = random_soft(classes * form.per_class, classes)
    plain = make_set(classes, ipc, size, size)
    return replace(
        plain,
        stored=form.stored(form.initial(start)),
        labels=torch.arange(classes).repeat_interleave(form.per_class),
        decoding=Coded(described(form), ipc, size),
        **changes,
    )
