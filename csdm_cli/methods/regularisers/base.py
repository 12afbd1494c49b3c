"""The contract of a regulariser: one more term that any optimised method can take."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from csdm_cli.methods.contract import Context
from csdm_cli.methods.statistics import Batch, Request
from csdm_cli.teachers.networks import TeacherStage
from csdm_cli.teachers.views import View


class Regulariser(ABC):
    """A term of the loss that knows nothing of the method it is added to.

    Attributes:
        summary, source: one line each.
        default_weight: weight of the term, where the user gives none.
        reads_features: whether the term looks at the synthetic images' features.
    """

    summary: ClassVar[str]
    source: ClassVar[str]
    default_weight: ClassVar[float]
    reads_features: ClassVar[bool] = True

    def request(self) -> Request:
        """The real-side statistics that :meth:`term` reads."""
        return Request()

    def prepare(self, context: Context) -> None:  # noqa: B027 - a regulariser need not
        """Called once before the first step (also of a resumed run)."""

    def logits_stage(self, view: View) -> TeacherStage | None:
        """Whose logits of the synthetic images :meth:`term` reads under ``view``, if any."""
        return None

    @abstractmethod
    def term(self, batch: Batch) -> Tensor:
        """A scalar, summed over the batch's classes and not yet weighted."""
