"""Every open setting of a run decided, and every refusal made, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from csdm_cli.errors import UsageError
from csdm_cli.methods.contract import BuildingMethod, MatchingMethod, Method, OptimisedMethod
from csdm_cli.methods.learning import Experts, LearningMethod
from csdm_cli.methods.regularisers.weighted import bankable, weighted_terms
from csdm_cli.names import Engine, Parameterization, RealMode, StoredLabels, TeacherSchedule
from csdm_cli.parallel import seat
from csdm_cli.parallel.class_shares import ClassShare
from csdm_cli.runs.method_options import idle_beside, instead_of_matching, make_method, option_of, real_batch_of, unread
from csdm_cli.settings import sections


class Settled(sections.Distill):
    """Settings of a distillation with nothing left open that its method reads."""

    labels: StoredLabels


class SettledOptimised(Settled):
    """Those of a method that optimises its images."""

    real_batch: int


class SettledMatching(SettledOptimised):
    """Those of a method that matches statistics."""

    calibration: float | str
    teacher_schedule: TeacherSchedule
    real: RealMode


def settled(settings: sections.Distill, method: Method) -> Settled:
    """``settings`` with the method's own choice wherever the user left it open.

    Raises:
        UsageError: if a bank is asked for that cannot be.
    """
    chosen: dict[str, Any] = {"labels": settings.labels or method.default_labels}
    kind: type[Settled] = Settled
    if isinstance(method, OptimisedMethod):
        if settings.parameterization is not Parameterization.multi_formation:
            chosen["factor"] = 1
        kind = SettledOptimised
        chosen["real_batch"] = real_batch_of(type(method), settings)
    if isinstance(method, MatchingMethod):
        kind = SettledMatching
        chosen["real"] = _real_side_of(settings, method)
        chosen["teacher_schedule"] = settings.teacher_schedule or method.default_schedule
        if settings.calibration is None:
            chosen["calibration"] = method.default_calibration
    # All values were validated as those of Distill, and stay what they are.
    return kind.model_construct(settings.model_fields_set | chosen.keys(), **(dict(settings) | chosen))


def _real_side_of(settings: sections.Distill, method: MatchingMethod) -> RealMode:
    """The real side asked for, or the cheapest one the method allows."""
    if settings.engine is Engine.textbook:
        if settings.real is RealMode.bank:
            raise UsageError("--engine textbook reads fresh real minibatches; drop --real bank")
        if method.needs_moved_images or method.couples_classes:
            raise UsageError(f"--engine textbook steps class by class; {settings.method} as chosen takes all at once")
        return RealMode.fresh
    can_bank = bankable(method, weighted_terms(settings.regularizer))
    if settings.real is RealMode.bank and not can_bank:
        raise UsageError(f"--real bank: {settings.method} as chosen needs real images every step; use --real fresh")
    return settings.real or (RealMode.bank if can_bank else RealMode.fresh)


@dataclass(frozen=True)
class Chosen:
    """A method and all settings, with nothing left open; no data yet.

    Attributes:
        settings: those of distillation, which ``params.distill`` is too.
    """

    method: Method
    settings: Settled
    params: sections.Params


def choose(params: sections.Params, given: frozenset[str] = frozenset()) -> Chosen:
    """The method of ``params.distill``, which is filled in with the method's own choices.

    What follows trusts it: nothing is chosen or refused by the method a second time.

    Raises:
        UsageError: if a setting is wrong for the method, or one ``given`` on the command line has no effect on it.
    """
    settings, method = decided(params.distill, given)
    return Chosen(method, settings, params.model_copy(update={"distill": settings}))


def decided(settings: sections.Distill, given: frozenset[str] = frozenset()) -> tuple[Settled, Method]:
    """The method of ``settings``, and ``settings`` with nothing left open.

    Raises:
        UsageError: as :func:`choose`.
    """
    method = make_method(settings, given)
    if isinstance(method, OptimisedMethod):
        refuse_other_parameterizations(settings, given)
    found = settled(settings, method)
    refuse_idle_softening(found, given)
    if isinstance(found, SettledMatching):
        _refuse_the_other_real_side(found, given)
    return found, method


def without_effect(chosen: Chosen) -> frozenset[str]:
    """The settings of distill that change nothing: whoever asks for one of them is refused."""
    settings, method = chosen.settings, chosen.method
    found = {*unread(settings.method), *idle_beside(settings, method)} & set(sections.Distill.model_fields)
    if settings.labels is not StoredLabels.soft:
        found.add("temperature")
    if isinstance(method, OptimisedMethod):
        found |= _idle_of_parameterization(settings)
    if isinstance(method, MatchingMethod):
        found.add(_idle_of_real_side(settings))
    return frozenset(found)


def _idle_of_parameterization(settings: sections.Distill) -> frozenset[str]:
    """The settings that the others' parameterization has no use for."""
    kind = settings.parameterization
    factor = () if kind in (Parameterization.multi_formation, Parameterization.pixels) else ("factor",)
    others = {name for name, owner in sections.Distill.names_of_parameterizations().items() if owner is not kind}
    return frozenset(others.union(factor))


def refuse_other_parameterizations(settings: sections.Distill, given: frozenset[str]) -> None:
    """Raises: UsageError if a setting belongs to another parameterization, or the engine does not know this one."""
    kind = settings.parameterization
    for name, owner in sections.Distill.names_of_parameterizations().items():
        if owner is not kind and (name in given or getattr(settings, name) is not None):
            raise UsageError(f"{option_of(name)} belongs to --parameterization {owner}, not {kind}")
    allowed = {1, sections.Distill.model_fields["factor"].default}
    if "factor" in given:
        allowed = {1} if kind is Parameterization.pixels else set()
    if kind is not Parameterization.multi_formation and settings.factor not in allowed:
        raise UsageError(
            f"--factor {settings.factor} belongs to --parameterization {Parameterization.multi_formation}, not {kind}:"
            " leave it out"
        )
    plain = (Parameterization.pixels, Parameterization.multi_formation)
    if settings.engine is Engine.textbook and kind not in plain:
        raise UsageError(f"--engine textbook knows pixels alone: drop it, or --parameterization {kind}")


def _refuse_the_other_real_side(settings: SettledMatching, given: frozenset[str]) -> None:
    """Raises: UsageError if a setting of the bank is ``given`` without one, or one of minibatches with it."""
    idle = _idle_of_real_side(settings)
    if idle in given:
        raise UsageError(
            f"{option_of(idle)} has no effect: the real side of {settings.method} as chosen is {settings.real}"
        )


def _idle_of_real_side(settings: sections.Distill) -> str:
    """The setting that belongs to the real side that was not chosen."""
    return "draws" if settings.real is RealMode.fresh else "real_batch"


def experts_of(method: Method) -> Experts | None:
    """The experts that the method follows, if any: its networks trained on the long-tailed set are those."""
    return method.experts if isinstance(method, LearningMethod) else None


def refuse_idle_softening(settings: Settled, given: frozenset[str]) -> None:
    """Raises: UsageError if prior calibration is set, or a temperature ``given``, and the labels are hard."""
    if settings.labels is StoredLabels.soft:
        return
    if "temperature" in given:
        raise UsageError(
            f"--temperature {settings.temperature:g} changes soft labels, but the labels are {settings.labels}:"
            " add --labels soft"
        )
    if settings.prior_calibration:
        raise UsageError(
            f"--prior-calibration {settings.prior_calibration} changes soft labels, but the labels are"
            f" {settings.labels}: add --labels soft"
        )


def refuse_idle_numerics(chosen: Chosen, given: Sequence[str], memory_budget: int | None) -> None:
    """Raises: UsageError if options of how networks compute were ``given`` to a method that does not take them."""
    method = chosen.method
    taken = ["--precision"] if isinstance(method, LearningMethod) and method.takes_precision else []
    given = [name for name in (*given, *(["--memory-budget"] if memory_budget else [])) if name not in taken]
    if given and not isinstance(method, MatchingMethod):
        raise UsageError(
            f"{given[0]} has no effect on {chosen.settings.method}, which {instead_of_matching(type(method))}"
        )


def refuse_to_couple(settings: Settled, method: Method) -> None:
    """Raises: UsageError if torchrun started several processes, and each cannot distil classes of its own."""
    if seat.seat() is None:
        return
    reason = None
    if isinstance(method, BuildingMethod):
        reason = f"--method {settings.method} selects its images in one process"
    elif method.coupled_by:
        reason = f"--method {settings.method} couples the classes ({method.coupled_by})"
    elif isinstance(settings.calibration, str):
        reason = f"--calibration {settings.calibration} is measured on all classes, which one process has"
    elif settings.parameterization is Parameterization.decomposition:
        reason = f"--parameterization {settings.parameterization} shares its kernels among all classes"
    elif settings.engine is Engine.textbook:
        reason = "--engine textbook is a yardstick for one process"
    if reason:
        raise UsageError(f"{reason}: run it without torchrun")


def describe_share(share: ClassShare, classes: int) -> str:
    """How the classes are divided, in a line."""
    text = f"{classes} classes shared among {share.world} processes, {share.chunk} at a time"
    units = -(-classes // share.unit)
    if share.world > units:
        text += f"; {share.world - units} have none"
        if share.unit > 1:
            text += ", for a chunk is not divided: a smaller --memory-budget makes more"
    return text
