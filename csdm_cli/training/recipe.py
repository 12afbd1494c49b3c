"""The recipe of a network's training, as a value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from csdm_cli.safe_text import counted

STAGES = 60
DECAY, DECAY_AT = 0.2, (2 / 3, 5 / 6)  # of the schedule "steps": the field's (IDC, DREAM)


@dataclass(frozen=True)
class Duration:
    """The length of a network's training, in passes over its images or in optimiser steps; one of both is None.

    What happens on the way happens after stages: epochs; or, of a length in steps, every ``every`` steps, of which it
    is then a multiple; or as many parts of equal length as the steps make epochs, at most :data:`STAGES`.
    """

    epochs: int | None = None
    steps: int | None = None
    every: int | None = None

    def ends(self, count: int, batch: int) -> dict[int, int]:
        """The stage, from 1 on, that each boundary step completes, for ``count`` images in batches of ``batch``."""
        batch = min(batch, count)
        if self.epochs is not None:
            return {-(-epoch * count // batch): epoch for epoch in range(1, self.epochs + 1)}
        assert self.steps is not None
        if self.every is not None:
            assert self.steps % self.every == 0
            return {stage * self.every: stage for stage in range(1, self.steps // self.every + 1)}
        stages = max(1, min(STAGES, self.steps * batch // count))
        return {-(-stage * self.steps // stages): stage for stage in range(1, stages + 1)}

    def as_dict(self) -> dict[str, int]:
        """The length as it was given, for a header or a key."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        if self.epochs is not None:
            return counted(self.epochs, "epoch")
        assert self.steps is not None
        return counted(self.steps, "step")

    @classmethod
    def told(cls, described: Mapping[str, Any]) -> Duration:
        """The one that :meth:`as_dict` gave, among other things."""
        steps, every = described.get("steps"), described.get("every")
        return cls(steps=int(steps), every=every) if steps is not None else cls(epochs=int(described["epochs"]))


@dataclass(frozen=True)
class Recipe:
    """The recipe of a network's training.

    Attributes:
        optimizer: ``sgd`` (with momentum, Nesterov off), ``gsam`` (SGD along the gradient of :mod:`training.gsam`) or
            ``adamw`` (which ignores ``momentum``).
        lr: learning rate of the first step.
        momentum: momentum of SGD.
        weight_decay: decay of all parameters.
        batch: images per step; never more than there are.
        augment: operations, joined by ``_``, drawn anew for every image.
        augment_mode: one of ``names.AugmentMode``.
        cutmix: probability of cutmix per step.
        schedule: ``cosine`` to 0, ``steps``: times 0.2 at 2/3 and 5/6 of the run, or ``constant``.
        sampling: ``shuffled``, each image once and then all again, ``class-aware``, every class as often as another, or
            ``debiased``, mixed pairs for a network with two heads (:mod:`training.debiased`), without ``cutmix``.
        rho, ascent: ρ and a of gsam.
    """

    optimizer: Literal["sgd", "adamw", "gsam"]
    lr: float
    momentum: float
    weight_decay: float
    batch: int
    augment: str
    augment_mode: str
    cutmix: float
    schedule: Literal["cosine", "steps", "constant"]
    sampling: Literal["shuffled", "class-aware", "debiased"] = "shuffled"
    rho: float = 0.0
    ascent: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, defaults left out; ``Recipe(**recipe.as_dict())`` equals ``recipe``."""
        defaults = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != defaults[name]}

    def lr_at(self, step: int, steps: int) -> float:
        """The learning rate of step ``step`` = 0 … ``steps`` - 1."""
        if self.schedule == "cosine":
            return self.lr * (1 + math.cos(math.pi * step / steps)) / 2
        if self.schedule == "constant":
            return self.lr
        return self.lr * DECAY ** sum(step >= part * steps for part in DECAY_AT)
