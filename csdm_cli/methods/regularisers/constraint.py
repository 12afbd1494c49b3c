"""The distribution constraint of TGDD: a teacher of a later stage must tell the classes apart.

Matching alone lets the classes of a synthetic set overlap. The constraint lets a snapshot of the same teacher,
taken at or shortly after the one that the step matches through, classify the synthetic images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from csdm_cli.methods.contract import Context
from csdm_cli.methods.regularisers.base import Regulariser
from csdm_cli.methods.statistics import Batch
from csdm_cli.seeds import generator
from csdm_cli.teachers.networks import TeacherStage
from csdm_cli.teachers.pool import Stage
from csdm_cli.teachers.views import View

# Snapshots whose logits may be read under a view: its own, and the six after it.
INTERVAL = 7


@dataclass(frozen=True)
class LaterSnapshot:
    """Which snapshot's logits are read under a view: e' ~ U{e, …, min(e + interval - 1, E)}, as in TGDD's code.

    Under the ``interpolate`` schedule λ stands for e: λ' ~ U[λ, min(λ + (interval - 1)/E, 1)]. Under ``final`` the
    trained weights are read. The same view has the same snapshot in every round and after a resume.

    Attributes:
        epochs: E, which the teachers were trained for.
        interval: how many snapshots may be read under a view.
        seed: random seed of the choice.
    """

    epochs: int
    interval: int = INTERVAL
    seed: int = 0

    def of(self, view: View) -> TeacherStage:
        """The teacher of ``view`` and the stage of its weights; the last epoch goes by the name ``final``."""
        if view.stage == "final":
            return view.teacher, "final"
        kind, value = view.stage
        stage: Stage
        # The word is part of the seed: another one would draw other snapshots.
        share = float(torch.rand((), generator=generator(self.seed, "judge", view.index), dtype=torch.float64))
        if kind == "interpolate":
            reach = min(value + (self.interval - 1) / max(self.epochs, 1), 1.0)
            stage = ("interpolate", value + share * (reach - value))
        else:
            first, last = int(value), min(int(value) + self.interval - 1, self.epochs)
            epoch = first + int(share * (last - first + 1))
            stage = "final" if epoch >= self.epochs else ("epoch", epoch)
        return view.teacher, stage


def cross_entropy_of_logits(batch: Batch) -> Tensor:
    """Σ_c mean_i CE(the logits of image i of class c, c): a scalar from ``batch.logits``."""
    assert batch.logits is not None, "the engine gives logits where a stage is named"
    return batch.class_means(cross_entropy(batch.logits, batch.labels, reduction="none")).sum()


class Constraint(Regulariser):
    """Σ_c mean cross-entropy of the class's synthetic images under a snapshot at or after the view's."""

    summary = "cross-entropy under a teacher snapshot at or after the matched one"
    source = "TGDD, the distribution constraint"
    default_weight: ClassVar[float] = 1.0
    reads_features: ClassVar[bool] = False

    def prepare(self, context: Context) -> None:
        self.rule = LaterSnapshot(context.pool.epochs if context.pool else 1, seed=context.seed)

    def logits_stage(self, view: View) -> TeacherStage | None:
        return self.rule.of(view)

    def term(self, batch: Batch) -> Tensor:
        return cross_entropy_of_logits(batch)
