"""Regularisers with their weights: the terms of a run's loss beside those of its method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from importlib import import_module

from torch import Tensor

from csdm_cli.errors import UsageError
from csdm_cli.methods.contract import MatchingMethod
from csdm_cli.methods.regularisers import RegulariserChoice, parse_all
from csdm_cli.methods.regularisers.base import Regulariser
from csdm_cli.methods.statistics import Batch, Request
from csdm_cli.teachers.networks import TeacherNetworks, TeacherStage

# Of a regulariser's term in the loss history, which may hold a term of the method's with the same name.
PREFIX = "regularizer-"


@dataclass(frozen=True)
class WeightedTerm:
    """A regulariser and its weight."""

    name: str
    regulariser: Regulariser
    weight: float

    @property
    def label(self) -> str:
        """The term's name in the loss history."""
        return PREFIX + self.name

    def of(self, batch: Batch) -> Tensor:
        """weight·term of the batch's classes: a scalar."""
        return self.weight * self.regulariser.term(batch)


def weighted_terms(texts: Sequence[str]) -> tuple[WeightedTerm, ...]:
    """The regularisers of ``texts`` (see :func:`csdm_cli.methods.regularisers.parse`).

    Raises:
        ValueError: as :func:`csdm_cli.methods.regularisers.parse_all`.
    """
    return tuple(_weighted(chosen) for chosen in parse_all(texts))


def joined_request(method: MatchingMethod, extra: Sequence[WeightedTerm]) -> Request:
    """The real-side statistics that the method and the terms read."""
    return reduce(Request.joined, (term.regulariser.request() for term in extra), method.request())


def bankable(method: MatchingMethod, extra: Sequence[WeightedTerm]) -> bool:
    """Whether all of those can be computed once and kept."""
    return method.bankable and not joined_request(method, extra).features


def loss_terms(
    method: MatchingMethod,
    extra: Sequence[WeightedTerm],
    batch: Batch,
    step: int,
    logits_of: Callable[[TeacherStage], Tensor],
) -> dict[str, Tensor]:
    """The method's named losses of ``batch`` and the weighted terms: scalars, each summed over the batch's classes.

    Args:
        method: its losses come first.
        extra: the terms beside them.
        batch: c classes under one view, (c·per_class, D) features, without logits.
        step: the iteration.
        logits_of: logits (c·per_class, C) of the same images under a teacher's weights.
    """
    assert batch.view is not None

    def with_logits(stage: TeacherStage | None) -> Batch:
        return batch if stage is None else replace(batch, logits=logits_of(stage))

    own = with_logits(method.logits_stage(batch.view))
    # before the method's: the order in which a graph is made is the order in which its gradients are added up
    added = {term.label: term.of(with_logits(term.regulariser.logits_stage(batch.view))) for term in extra}
    return method.losses(own, step) | added


def refuse_second_logits(method: MatchingMethod, extra: Sequence[WeightedTerm]) -> None:
    """Raises: UsageError if the method and a term both read logits of the synthetic images."""
    reading = next((term for term in extra if _reads_logits(type(term.regulariser), Regulariser)), None)
    if reading and _reads_logits(type(method), MatchingMethod):
        taken = f"--regularizer {reading.name}: this method's own loss already reads a teacher's logits"
        raise UsageError(f"{taken} on the synthetic images; drop the regulariser")


def refuse_other_features(extra: Sequence[WeightedTerm], own: TeacherNetworks, shared: TeacherNetworks) -> None:
    """Raises: UsageError if a method's ``own`` networks give more than the features that a term is made for."""
    reading = [term.name for term in extra if term.regulariser.reads_features]
    if reading and own.final(0).feature_dim != shared.final(0).feature_dim:
        raise UsageError(
            f"--regularizer {reading[0]} reads the teachers' features alone, but the method as chosen adds "
            "what it reads of earlier layers to them: switch that off, or drop the regulariser"
        )


def load(name: str) -> type[Regulariser]:
    """The class of the regulariser called ``name``."""
    module = import_module(f"csdm_cli.methods.regularisers.{name}")
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Regulariser) and value.__module__ == module.__name__
    )
    return found


def _weighted(chosen: RegulariserChoice) -> WeightedTerm:
    cls = load(chosen.name)
    return WeightedTerm(chosen.name, cls(), cls.default_weight if chosen.weight is None else chosen.weight)


def _reads_logits(cls: type, base: type) -> bool:
    """Whether ``cls`` reads logits of a stage of its own."""
    return getattr(cls, "logits_stage", None) is not getattr(base, "logits_stage", None)
