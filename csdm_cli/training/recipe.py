"""The recipe of a network's training, as a value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from csdm_cli.safe_text import counted

STAGES = 60
DECAY, DECAY_AT = 0.2, (2 / 3, 5 / 6)  # of the schedule "steps": the field's (IDC, DREAM)


@dataclass(frozen=True)
class Duration:
    """The length of a network's training, in passes over its images or in optimiser steps; one of both is None.

    What happens on the way happens after stages: epochs, or as many parts of equal length as the steps make epochs, at
    most :data:`STAGES`.
    """

    epochs: int | None = None
    steps: int | None = None

    def ends(self, count: int, batch: int) -> dict[int, int]:
        """The stage, from 1 on, that each boundary step completes, for ``count`` images in batches of ``batch``."""
        batch = min(batch, count)
        if self.epochs is not None:
            return {-(-epoch * count // batch): epoch for epoch in range(1, self.epochs + 1)}
        assert self.steps is not None
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
        steps = described.get("steps")
        return cls(steps=int(steps)) if steps is not None else cls(epochs=int(described["epochs"]))


@dataclass(frozen=True)
class Recipe:
    """The recipe of a network's training.

    Attributes:
        optimizer: ``sgd`` (with momentum, Nesterov off) or ``adamw`` (which ignores ``momentum``).
        lr: learning rate of the first step.
        momentum: of SGD.
        weight_decay: of all parameters.
        batch: images per step; never more than there are.
        augment: operations, joined by ``_``, drawn anew for every image.
        augment_mode: one of ``names.AugmentMode``.
        cutmix: probability of cutmix per step.
        schedule: ``cosine`` to 0, or ``steps``: times 0.2 at 2/3 and 5/6 of the run.
    """

    optimizer: Literal["sgd", "adamw"]
    lr: float
    momentum: float
    weight_decay: float
    batch: int
    augment: str
    augment_mode: str
    cutmix: float
    schedule: Literal["cosine", "steps"]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``Recipe(**recipe.as_dict())`` equals ``recipe``."""
        return asdict(self)

    def lr_at(self, step: int, steps: int) -> float:
        """The learning rate of step ``step`` = 0 … ``steps`` - 1."""
        if self.schedule == "cosine":
            return self.lr * (1 + math.cos(math.pi * step / steps)) / 2
        return self.lr * DECAY ** sum(step >= part * steps for part in DECAY_AT)
