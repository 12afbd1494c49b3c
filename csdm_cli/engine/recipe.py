"""How a network is trained, as a value."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

DECAY, DECAY_AT = 0.2, (2 / 3, 5 / 6)  # of the schedule "steps": the field's (IDC, DREAM)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

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
