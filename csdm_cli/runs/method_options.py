"""The method that settings name, with its own parameters; and which settings a method reads at all."""

from __future__ import annotations

from typing import Any, get_type_hints

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from csdm_cli.errors import UsageError
from csdm_cli.methods import load, method_names
from csdm_cli.methods.contract import MatchingMethod, Method, MethodClass, OptimisedMethod, parameter_names
from csdm_cli.methods.regularisers.weighted import refuse_second_logits, weighted_terms
from csdm_cli.safe_text import meant
from csdm_cli.settings import sections
from csdm_cli.settings.fields import Reader, is_number, reader_of, refuse_loose_number
from csdm_cli.settings.messages import expected
from csdm_cli.storage.bounded import adapter

MOST_OF_OWN = 1e9  # the size of a method's own parameters


def make_method(settings: sections.Distill, given: frozenset[str] = frozenset()) -> Method:
    """The method of ``settings`` with its own parameters.

    Raises:
        UsageError: if an option ``given`` on the command line has no effect on this method, or one of its own
            parameters is wrong.
    """
    cls = load(settings.method)
    method = cls(method_parameters(cls, settings))
    idle = unread(settings.method) | idle_beside(settings, method)
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
            found[name] = f"{option_of(name)} belongs to --method {owner}; {method} does not read it"
    for name in sections.Distill.names_read_by(Reader.optimised):
        if not reads(cls, name):
            found[name] = f"{option_of(name)} has no effect on {method}, which optimises nothing"
    for name in sections.Distill.names_read_by(Reader.matching):
        if not reads(cls, name):
            found[name] = f"{option_of(name)} has no effect on {method}, which {instead_of_matching(cls)}"
    return found


def instead_of_matching(cls: MethodClass) -> str:
    """In words, what a method does that matches no statistics."""
    return "compares what networks learn" if issubclass(cls, OptimisedMethod) else "optimises nothing"


def idle_beside(settings: sections.Distill, method: Method) -> dict[str, str]:
    """Settings and parameters without effect beside the others, and what is said to whoever asks for them."""
    asked = {name: f"--option {name}" if name in settings.option else option_of(name) for name in method.idle_options()}
    return {name: f"{text} has no effect with the other options of {settings.method}" for name, text in asked.items()}


def method_parameters(cls: MethodClass, settings: sections.Distill) -> Any:
    """An instance of the method's ``Parameters``: from the settings of that name, and from ``settings.option``.

    Raises:
        UsageError: if ``option`` names a parameter that the method does not have, or gives it a wrong value.
    """
    names, shared = parameter_names(cls), set(type(settings).model_fields)
    own = sorted(names - shared)
    for name in settings.option:
        if name in names & shared:
            raise UsageError(f"--option {name}: this parameter of {settings.method} is the option {option_of(name)}")
        if name not in own:
            hint = meant(name, own) or f"it has {', '.join(own) or 'none'}"
            raise UsageError(f"--option {name}: {settings.method} has no such parameter; {hint}")
    told = {name: getattr(settings, name) for name in names & shared}
    if "real_batch" in told and issubclass(cls, OptimisedMethod):
        told["real_batch"] = real_batch_of(cls, settings)
    values = told | settings.option
    _refuse_loose_numbers(cls, settings)
    try:
        parameters = adapter(cls.Parameters).validate_python(values)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        schema = adapter(cls.Parameters).json_schema()
        wanted = expected(schema["properties"][name], schema.get("$defs", {}))
        raise UsageError(f"--option {name}={settings.option.get(name)}: expected {wanted}") from None
    for name, given in settings.option.items():
        value = getattr(parameters, name)
        if isinstance(value, (int, float)) and not -MOST_OF_OWN <= value <= MOST_OF_OWN:
            raise UsageError(f"--option {name}={given}: expected a finite number of at most {MOST_OF_OWN:g}")
    return parameters


def real_batch_of(cls: type[OptimisedMethod], settings: sections.Distill) -> int:
    """Real images per class and step: those asked for, or the method's own number."""
    return settings.real_batch or cls.default_real_batch


def _refuse_loose_numbers(cls: MethodClass, settings: sections.Distill) -> None:
    hints = get_type_hints(cls.Parameters, include_extras=True)
    for name, value in settings.option.items():
        try:
            if is_number(hints[name]):
                refuse_loose_number(value)
        except PydanticCustomError as error:
            raise UsageError(f"--option {name}={value}: expected {error.message()}") from None


def option_of(name: str) -> str:
    """The option of ``csdm distill`` that sets ``name``."""
    return "--" + name.replace("_", "-")
