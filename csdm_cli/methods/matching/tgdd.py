"""TGDD: trajectory guided dataset distillation (Ran et al., AAAI 2026)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor

from csdm_cli.methods.contract import Context, MatchingMethod, option
from csdm_cli.methods.regularisers.constraint import INTERVAL, LaterSnapshot, cross_entropy_of_logits
from csdm_cli.methods.statistics import Batch, Request
from csdm_cli.names import TeacherSchedule
from csdm_cli.teachers.networks import TeacherStage
from csdm_cli.teachers.views import View


@dataclass(frozen=True)
class TgddParameters:
    """Options of TGDD."""

    constraint: Annotated[float, Field(ge=0)] = option(
        1.0, "α: weight of the cross-entropy under a later snapshot of the teacher (0: none)"
    )
    interval: Annotated[int, Field(ge=1)] = option(
        INTERVAL, "snapshots whose logits may be read under a view: its own and those after it"
    )


class Tgdd(MatchingMethod):
    """Σ_c ‖mean φ_e(T_c) − mean φ_e(S_c)‖² + α·CE(net_e'(S_c), c) along the teachers' training.

    φ_e is a teacher after epoch e ~ U{0, …, E}, 0 being the untrained network: stage-wise distribution matching. e'
    is drawn for every view from the ``interval`` snapshots that begin with e: the distribution constraint, which
    keeps classes apart. Where e' = 0 the constraint is an untrained network's opinion, in the paper's code as here.
    """

    Parameters = TgddParameters
    default_schedule: ClassVar[TeacherSchedule] = TeacherSchedule.trajectory
    summary = "matching of class means along the teachers' training, classes kept apart"
    source = "Ran et al., AAAI 2026, arXiv 2512.02469"
    cost = "up to twice dm: the constraint takes the synthetic images through a second network (bank)"
    classification_terms = frozenset({"constraint"})
    departures = "one step for all classes and all decoded images (the paper: a step per class, 200 images at most)"
    parameters: TgddParameters

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """For CIFAR, whose pixels live in [0, 1] as they do here; on the subsets its rate is 0.1·IPC, 80 epochs."""
        return {
            "pretrain": {"teachers": 5, "epochs": 60, "loss": "cross-entropy", "trajectory": True},
            "distill": {"iterations": 10_000, "optimizer": "sgd", "lr": 0.01 * ipc, "schedule": "constant"}
            | {"augment": "color_crop_cutout", "augment_mode": "compose", "real": "fresh", "real_batch": 128},
        }

    def request(self) -> Request:
        return Request(mean=True)

    def prepare(self, context: Context) -> None:
        epochs = context.pool.epochs if context.pool else 0
        self._rule = LaterSnapshot(epochs, self.parameters.interval, context.seed)

    def logits_stage(self, view: View) -> TeacherStage | None:
        return self._rule.of(view) if self.parameters.constraint else None

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        terms = {"mean": batch.distance_of_means()}  # of (c, D) means; every term is a scalar
        if self.parameters.constraint:
            terms["constraint"] = self.parameters.constraint * cross_entropy_of_logits(batch)
        return terms

    def idle_options(self) -> frozenset[str]:
        return frozenset() if self.parameters.constraint else frozenset({"interval"})
