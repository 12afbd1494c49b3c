"""Every open setting of a run decided, and every refusal made, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from csdm_cli.errors import UsageError
from csdm_cli.methods import load, method_names
from csdm_cli.methods.contract import (
    BuildingMethod,
    MatchingMethod,
    Method,
    MethodClass,
    OptimisedMethod,
    parameter_names,
)
from csdm_cli.methods.learning import Experts, LearningMethod
from csdm_cli.methods.regularisers.weighted import bankable, refuse_second_logits, weighted_terms
from csdm_cli.names import Engine, LabelKind, Parameterization, RealMode, TeacherSchedule
from csdm_cli.parallel import seat
from csdm_cli.parallel.class_shares import ClassShare
from csdm_cli.settings import sections
from csdm_cli.settings.fields import Reader, is_number, reader_of, refuse_loose_number

MOST_OF_OWN = 1e9  # the size of a method's own parameters


def make_method(settings: sections.Distill, given: frozenset[str] = frozenset()) -> Method:
    """The method of ``settings`` with its own parameters.

    Raises:
        UsageError: if an option ``given`` on the command line has no effect on this method, or one of its own
            parameters is wrong.
    """
    cls = load(settings.method)
    method = cls(method_parameters(cls, settings))
    idle = unread(settings.method) | _idle(settings, method)
    for name in sorted(given | set(settings.option)):
        if name in idle:
            raise UsageError(idle[name])
    if isinstance(method, MatchingMethod):
        refuse_second_logits(method, weighted_terms(settings.regularizer))
    return method


def reads(cls: MethodClass, name: str) -> bool:
    """Whether a method looks at the setting ``name`` of distill at all."""
    reader = reader_of(sections.Distill.model_fields[name])
    if reader is Reader.owner:
        return name in parameter_names(cls)
    if reader is Reader.optimised:
        return issubclass(cls, OptimisedMethod)
    if reader is Reader.matching:
        return issubclass(cls, MatchingMethod) or name in parameter_names(cls)
    if reader is Reader.decoding:
        return issubclass(cls, OptimisedMethod) or cls.reads_factor
    return True


def unread(method: str) -> dict[str, str]:
    """The settings of distill that ``method`` does not look at, and what is said to whoever asks for them."""
    cls = load(method)
    found = {}
    for name in sections.Distill.names_read_by(Reader.owner):
        if not reads(cls, name):
            owner = next(other for other in method_names() if name in parameter_names(load(other)))
            found[name] = f"{_option(name)} belongs to --method {owner}; {method} does not read it"
    for name in sections.Distill.names_read_by(Reader.optimised):
        if not reads(cls, name):
            found[name] = f"{_option(name)} has no effect on {method}, which optimises nothing"
    for name in sections.Distill.names_read_by(Reader.matching):
        if not reads(cls, name):
            found[name] = f"{_option(name)} has no effect on {method}, which {_instead(cls)}"
    return found


def _instead(cls: MethodClass) -> str:
    """In words, what a method does that matches no statistics."""
    return "compares what networks learn" if issubclass(cls, OptimisedMethod) else "optimises nothing"


def _idle(settings: sections.Distill, method: Method) -> dict[str, str]:
    """Settings and parameters without effect beside the others, and what is said to whoever asks for them."""
    asked = {name: f"--option {name}" if name in settings.option else _option(name) for name in method.idle_options()}
    return {name: f"{text} has no effect with the other options of {settings.method}" for name, text in asked.items()}


def without_effect(chosen: Chosen) -> frozenset[str]:
    """The settings of distill that change nothing: whoever asks for one of them is refused."""
    settings, method = chosen.settings, chosen.method
    found = {*unread(settings.method), *_idle(settings, method)} & set(sections.Distill.model_fields)
    if settings.labels is not LabelKind.soft:
        found.add("temperature")
    if isinstance(method, OptimisedMethod):
        found |= _idle_of_parameterization(settings)
    if isinstance(method, MatchingMethod):
        found.add(_idle_of_real_side(settings))
    return frozenset(found)


def method_parameters(cls: MethodClass, settings: sections.Distill) -> Any:
    """An instance of the method's ``Parameters``: from the settings of that name, and from ``settings.option``.

    Raises:
        UsageError: if ``option`` names a parameter that the method does not have, or gives it a wrong value.
    """
    names, shared = parameter_names(cls), set(type(settings).model_fields)
    own = sorted(names - shared)
    for name in settings.option:
        if name in names & shared:
            raise UsageError(f"--option {name}: this parameter of {settings.method} is the option {_option(name)}")
        if name not in own:
            close = get_close_matches(name, own, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(own) or 'none'}"
            raise UsageError(f"--option {name}: {settings.method} has no such parameter; {hint}")
    told = {name: getattr(settings, name) for name in names & shared}
    if "real_batch" in told and issubclass(cls, OptimisedMethod):
        told["real_batch"] = settings.real_batch or cls.default_real_batch
    values = told | settings.option
    _refuse_loose_numbers(cls, settings)
    try:
        parameters = TypeAdapter(cls.Parameters).validate_python(values)
    except ValidationError as error:
        wrong = error.errors()[0]
        name = str(wrong["loc"][0])
        raise UsageError(f"--option {name}={settings.option.get(name)}: {wrong['msg'].lower()}") from None
    for name, given in settings.option.items():
        value = getattr(parameters, name)
        if isinstance(value, (int, float)) and not -MOST_OF_OWN <= value <= MOST_OF_OWN:
            raise UsageError(f"--option {name}={given}: expected a finite number of at most {MOST_OF_OWN:g}")
    return parameters


def _refuse_loose_numbers(cls: MethodClass, settings: sections.Distill) -> None:
    hints = get_type_hints(cls.Parameters, include_extras=True)
    for name, value in settings.option.items():
        try:
            if is_number(hints[name]):
                refuse_loose_number(value)
        except PydanticCustomError as error:
            raise UsageError(f"--option {name}={value}: expected {error.message()}") from None


class Settled(sections.Distill):
    """Settings of a distillation with nothing left open that its method reads."""

    labels: LabelKind


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
        chosen["real_batch"] = settings.real_batch or method.default_real_batch
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


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


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
            raise UsageError(f"{_option(name)} belongs to --parameterization {owner}, not {kind}")
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
            f"--{idle.replace('_', '-')} has no effect: the real side of {settings.method} as chosen is {settings.real}"
        )


def _idle_of_real_side(settings: sections.Distill) -> str:
    """The setting that belongs to the real side that was not chosen."""
    return "draws" if settings.real is RealMode.fresh else "real_batch"


def experts_of(method: Method) -> Experts | None:
    """The experts that the method follows, if any: its networks trained on the long-tailed set are those."""
    return method.experts if isinstance(method, LearningMethod) else None


def refuse_idle_softening(settings: Settled, given: frozenset[str]) -> None:
    """Raises: UsageError if prior calibration is set, or a temperature ``given``, and the labels are hard."""
    if settings.labels is LabelKind.soft:
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
    """Raises: UsageError if options of how the engine computes were ``given`` to a method that matches nothing."""
    given = [*given, *(["--memory-budget"] if memory_budget else [])]
    if given and not isinstance(chosen.method, MatchingMethod):
        raise UsageError(f"{given[0]} has no effect on {chosen.settings.method}, which {_instead(type(chosen.method))}")


def refuse_to_couple(settings: Settled, method: Method) -> None:
    """Raises: UsageError if torchrun started several processes, and each cannot distil classes of its own."""
    if seat.seat() is None:
        return
    reason = None
    if isinstance(method, BuildingMethod):
        reason = f"--method {settings.method} selects its images in one process"
    elif not method.class_separable:
        reason = f"--method {settings.method} couples the classes, so that ranks cannot share them"
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
    borders = -(-classes // share.chunk)
    if share.world > borders:
        text += f"; {share.world - borders} have none, for a chunk is not divided: a smaller --memory-budget makes more"
    return text
