"""A method with regularisers: itself an optimised method, so that the engine sees no difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from importlib import import_module

from torch import Tensor

from csdm_cli.errors import UsageError
from csdm_cli.methods.contract import Context, OptimisedMethod
from csdm_cli.methods.regularisers import RegulariserChoice, parse_all
from csdm_cli.methods.regularisers.base import Regulariser
from csdm_cli.methods.statistics import Batch, ClassStatistics, Request
from csdm_cli.teachers.networks import TeacherNetworks, TeacherStage
from csdm_cli.teachers.views import View

# Of a regulariser's term in the loss history, which may hold a term of the method's with the same name.
PREFIX = "regularizer-"
# What the method tells about itself and the regularisers leave as it is.
KEPT = (
    *("source", "cost", "departures", "default_calibration", "default_schedule", "default_labels"),
    *("class_separable", "pools_real", "needs_moved_images", "verdicts"),
)


@dataclass(frozen=True)
class Weighted:
    """A regulariser and its weight."""

    name: str
    regulariser: Regulariser
    weight: float


class Regularised(OptimisedMethod):
    """The losses of ``base`` plus weight·term for every regulariser; everything else is the base's."""

    def __init__(self, base: OptimisedMethod, parts: Sequence[Weighted]) -> None:
        """Raises: UsageError if the base and a regulariser, or two of these, both need a judge."""
        super().__init__(base.parameters)
        self.base, self.parts = base, tuple(parts)
        told = {name: getattr(base, name) for name in KEPT}
        told["summary"] = f"{base.summary}, with {', '.join(part.name for part in self.parts)}"
        for name, value in told.items():
            setattr(self, name, value)
        self._judging = next((part for part in self.parts if _judges(type(part.regulariser), Regulariser)), None)
        if self._judging and _judges(type(base), OptimisedMethod):
            taken = f"--regularizer {self._judging.name}: this method's own loss already reads a teacher's verdict"
            raise UsageError(f"{taken} on the synthetic images; drop the regulariser")

    def request(self) -> Request:
        return reduce(Request.joined, (part.regulariser.request() for part in self.parts), self.base.request())

    @property
    def bankable(self) -> bool:
        return self.base.bankable and not self.request().features

    def prepare(self, context: Context) -> None:
        self.base.prepare(context)
        for part in self.parts:
            part.regulariser.prepare(context)

    def revise(self, statistics: ClassStatistics) -> ClassStatistics:
        return self.base.revise(statistics)

    def lens(self, shared: TeacherNetworks) -> TeacherNetworks:
        """Raises: UsageError if the base looks at more than the features that a regulariser is made for."""
        own = self.base.lens(shared)
        reading = [part.name for part in self.parts if part.regulariser.reads_features]
        if reading and own.final(0).feature_dim != shared.final(0).feature_dim:
            raise UsageError(
                f"--regularizer {reading[0]} reads the teachers' features alone, but the method as chosen adds "
                "statistics of the normalisation layers to them: switch these off, or drop the regulariser"
            )
        return own

    def judge(self, view: View) -> TeacherStage | None:
        return self._judging.regulariser.judge(view) if self._judging else self.base.judge(view)

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        added = {PREFIX + part.name: part.weight * part.regulariser.term(batch) for part in self.parts}
        return self.base.losses(batch, step) | added

    def after_move(self, batch: Batch, step: int) -> None:
        self.base.after_move(batch, step)

    def after_step(self, step: int) -> None:
        self.base.after_step(step)

    def state_dict(self) -> dict[str, Tensor]:
        return self.base.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.base.load_state_dict(state)

    def idle_options(self) -> frozenset[str]:
        return self.base.idle_options()


def regularised(method: OptimisedMethod, texts: Sequence[str]) -> OptimisedMethod:
    """``method`` with the regularisers of ``texts`` (see :func:`csdm_cli.methods.regularisers.parse`); none: as it is.

    Raises:
        ValueError: as :func:`csdm_cli.methods.regularisers.parse_all`.
        UsageError: if the method cannot take one of them.
    """
    parts = [_weighted(chosen) for chosen in parse_all(texts)]
    return Regularised(method, parts) if parts else method


def load(name: str) -> type[Regulariser]:
    """The class of the regulariser called ``name``."""
    module = import_module(f"csdm_cli.methods.regularisers.{name}")
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Regulariser) and value.__module__ == module.__name__
    )
    return found


def _weighted(chosen: RegulariserChoice) -> Weighted:
    cls = load(chosen.name)
    return Weighted(chosen.name, cls(), cls.default_weight if chosen.weight is None else chosen.weight)


def _judges(cls: type, base: type) -> bool:
    """Whether ``cls`` names a judge of its own."""
    return getattr(cls, "judge", None) is not getattr(base, "judge", None)
