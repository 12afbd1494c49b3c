"""Options of commands as keywords of a function: what its signature shows, and how a run computes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any, ParamSpec, TypeVar

from pydantic import TypeAdapter, ValidationError

from csdm_cli.errors import UsageError
from csdm_cli.names import Tracking
from csdm_cli.runs.runtime import THREADS, Runtime
from csdm_cli.settings import sections

RUNNING = {  # how a run computes, beside the settings: device, threads, deterministic, parallel, precision ...
    "compile" if field.name == "compiled" else field.name: field
    for field in fields(Runtime)
    if field.name not in ("tracking", "json", "quiet")
}
P = ParamSpec("P")
ResultT = TypeVar("ResultT")


def with_settings_of(section: type[sections.Section]) -> Callable[[Callable[P, ResultT]], Callable[P, ResultT]]:
    """Show the options of ``section`` in the signature, in place of ``**settings``."""

    def show(function: Callable[P, ResultT]) -> Callable[P, ResultT]:
        own = inspect.signature(function)
        parameters = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        named = {one.name for one in parameters}
        shown: dict[str, tuple[Any, Any]] = {
            name: (field.default, field.annotation) for name, field in section.model_fields.items()
        }
        if section is not sections.MakeLt:
            shown |= {name: (field.default, field.type) for name, field in RUNNING.items()}
        parameters += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (default, annotation) in shown.items()
            if name not in named
        ]
        function.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        return function

    return show


def refuse_beyond(name: str, value: object, bounds: tuple[int, int]) -> None:
    """Raises: UsageError if the ``value`` given for ``name`` is no number, or beyond its bounds."""
    least, most = bounds
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise UsageError(f"--{name.replace('_', '-')}: got {value!r}, expected a number >= {least} and <= {most}")


def runtime_from(settings: dict[str, Any]) -> Runtime:
    """How a run of the door's computes, taken out of ``settings``; it is never tracked."""
    given = {field.name: settings.pop(name) for name, field in RUNNING.items() if name in settings}
    if given.get("threads") is not None:
        refuse_beyond("threads", given["threads"], THREADS)
    try:
        return TypeAdapter(Runtime).validate_python(given | {"tracking": Tracking.none})
    except ValidationError as error:
        wrong = error.errors()[0]
        raise UsageError(f"{wrong['loc'][0]}: {wrong['msg'].lower()}") from None
