"""Command-line options made from the settings' fields, so that no option is written twice.

A command function takes ``overrides`` (what was given of its section), ``params`` (the file of settings) and
``runtime``; the decorators here replace these by the options that make them.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Collection, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from rich.markup import escape

from csdm_cli.cli.number_options import thread_count
from csdm_cli.display.console import note
from csdm_cli.errors import UsageError
from csdm_cli.names import Parallel, Precision, Preset, Tracking
from csdm_cli.runs.runtime import Device, Runtime
from csdm_cli.settings.resolve import Resolved, SectionT, resolve
from csdm_cli.settings.sections import Params, Section

SETTINGS_PANEL = "Settings"

RUN_PANEL = "Run"

Command = Callable[..., Any]


def section_options(section: type[Section], *, without: Sequence[str] = ()) -> Callable[[Command], Command]:
    """Replace a command's ``overrides`` by one option per field of ``section``.

    The command receives ``overrides: dict[str, Any]``: the options that were given, as text or flags;
    :func:`csdm_cli.settings.resolve.resolve` validates them.

    Args:
        section: the section; a field's description is the help text, its default is shown.
        without: fields that the command takes in another way, such as a positional argument.
    """
    fields = {name: field for name, field in section.model_fields.items() if name not in without}

    def collect(values: dict[str, Any]) -> dict[str, Any]:
        given = {name: values.pop(name) for name in fields}
        return {name: _parsed(fields[name], value) for name, value in given.items() if value not in (None, [])}

    options = [_section_option(name, field) for name, field in fields.items()]
    return lambda command: _replace(command, "overrides", options, collect)


def runtime_options(*chosen: str, numerics: str | None = None) -> Callable[[Command], Command]:
    """Replace a command's ``runtime`` by the options of :class:`Runtime`, or by the ``chosen`` ones.

    What is not chosen keeps the default of :class:`Runtime`, without tracking. ``numerics`` adds the options of
    precision, order of memory and compilation, and says in the help which networks they act on.
    """
    options = [option for option in _RUNTIME_OPTIONS if not chosen or option.name in chosen]
    options += _numerics_options(numerics) if numerics else []

    def collect(values: dict[str, Any]) -> Runtime:
        given = {option.name: values.pop(option.name) for option in options}
        return Runtime(**{"tracking": Tracking.none, **given})

    return lambda command: _replace(command, "runtime", options, collect)


def command_settings(
    section: type[SectionT],
    params: Path | None,
    overrides: dict[str, Any],
    runtime: Runtime,
    preset: Preset | None = None,
) -> Resolved[SectionT]:
    """The settings a command runs with; tells on stderr where they came from.

    Raises:
        UsageError: if the file or an option is wrong.
    """
    resolved = resolve(section, params, overrides, preset)
    unread = "" if params or not Path("params.yaml").exists() else "; params.yaml is read with --params params.yaml"
    note(resolved.origin + unread, quiet=runtime.quiet)
    return resolved


def _option(name: str, annotation: Any, default: Any, *flags: str, **info: Any) -> inspect.Parameter:
    declared = Annotated[annotation, typer.Option(*flags, **info)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=declared)


def default_note(default: str) -> str:
    """How the help shows a default that Typer does not know."""
    return f" [dim]{escape(f'[default: {default}]')}[/dim]"


def _enum_option(name: str, kind: type[Enum], default: Enum, help_text: str, **info: Any) -> inspect.Parameter:
    choices = ", ".join(member.value for member in kind)
    text = f"{escape(f'{help_text}: {choices}')}{default_note(default.value)}"
    return _option(name, kind, default, metavar="NAME", show_default=False, help=text, **info)


_RUN: dict[str, Any] = {"rich_help_panel": RUN_PANEL}

_RUNTIME_OPTIONS = [
    _enum_option("device", Device, Device.auto, "where to compute", **_RUN),
    _option("threads", int | None, None, parser=thread_count, metavar="INT", help="CPU threads", **_RUN),
    _option(
        "deterministic", bool, False, "--deterministic", help="equal bits on every run on CUDA too (slower)", **_RUN
    ),
    _enum_option(
        "parallel",
        Parallel,
        Parallel.auto,
        "train students and teachers at once (auto: on a GPU), or one by one",
        **_RUN,
    ),
    _enum_option(
        "tracking",
        Tracking,
        Tracking.mlflow,
        "where the run is tracked",
        envvar="CSDM_TRACKING",
        show_envvar=False,
        **_RUN,
    ),
    _option("json", bool, False, "--json", help="print one JSON object instead of tables", **_RUN),
    _option("quiet", bool, False, "--quiet", help="no notes and no progress on stderr", **_RUN),
]

DISTILLING = "the networks that distillation looks through"

STUDENTS = "students, which are tested in fp32 whatever they are trained in"

TEACHERS = "teachers in training"

BOTH = f"{DISTILLING}, and of students"


def _numerics_options(networks: str) -> list[inspect.Parameter]:
    """The options of how ``networks`` compute."""
    by_device = default_note("by device")
    precision = escape(f"precision of {networks}: {', '.join(Precision)}") + by_device
    order = "channels-last order of memory in these networks" + by_device
    compiled = "torch.compile these networks, which takes minutes at first" + by_device
    return [
        _option("precision", Precision | None, None, metavar="NAME", help=precision, **_RUN),
        _option("channels_last", bool | None, None, "--channels-last/--no-channels-last", help=order, **_RUN),
        _option("compiled", bool | None, None, "--compile/--no-compile", help=compiled, **_RUN),
    ]


def _section_option(name: str, field: FieldInfo) -> inspect.Parameter:
    kind, listed = _kind(field.annotation)
    flag = "--" + name.replace("_", "-")
    extra = field.json_schema_extra
    panel = extra.get("panel", SETTINGS_PANEL) if isinstance(extra, dict) else SETTINGS_PANEL
    info: dict[str, Any] = {"rich_help_panel": panel, "show_default": False, "help": _help(field, kind)}
    if kind is dict:
        return _option(name, list[str] | None, None, flag, metavar="NAME=VALUE", **info)
    if kind is bool:
        return _option(name, bool | None, None, f"{flag}/--no-{flag[2:]}", **info)
    if names := [str(member) for member in kind] if issubclass(kind, Enum) else field.examples:
        info["autocompletion"] = _completion([str(name) for name in names], listed)
    metavar = {int: "INT", float: "NUM", Path: "PATH"}.get(kind, "NAME" if names else "TEXT")
    # Everything stays text here: the section validates all settings at once, and names the options.
    return _option(name, str | None, None, flag, metavar=f"{metavar},.." if listed else metavar, **info)


def _kind(annotation: Any) -> tuple[type, bool]:
    """The plain type of a field, and whether the field is a list of it."""
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _kind(next(part for part in get_args(annotation) if part is not type(None)))
    if get_origin(annotation) is dict:
        return dict, False
    if get_origin(annotation) is list:
        return _kind(get_args(annotation)[0])[0], True
    return annotation, False


def _help(field: FieldInfo, kind: type) -> str:
    """The description, the choices, and the default in Typer's own style."""
    text, _, chosen_from_data = (field.description or "").partition(" (default: ")
    if issubclass(kind, Enum):
        text += ": " + ", ".join(member.value for member in kind)
    default = field.default
    if default is None:
        shown = chosen_from_data.removesuffix(")")
    elif isinstance(default, dict):
        shown = ""
    elif isinstance(default, list):
        shown = ",".join(map(str, default))
    else:
        shown = str(default).lower() if isinstance(default, bool) else str(default)
    return escape(text) + (default_note(shown) if shown else "")


def _parsed(field: FieldInfo, value: Any) -> Any:
    kind, listed = _kind(field.annotation)
    if kind is dict:
        return _pairs(value)
    return [part.strip() for part in value.split(",") if part.strip()] if listed else value


def _pairs(given: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE, each once, as a mapping."""
    pairs: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name or name in pairs:
            raise UsageError(f"--option {text}: {'given twice' if name in pairs else 'expected NAME=VALUE'}")
        pairs[name] = value.strip()
    return pairs


def values_by_section(
    given: Sequence[str], sections: Sequence[str], reserved: Collection[str] = ()
) -> dict[str, dict[str, Any]]:
    """``--set SECTION.NAME=VALUE``, each once, by section; a method's own parameters are ``distill.option.NAME``.

    Raises:
        UsageError: if one is not written so, is not in ``sections``, or is ``reserved``: decided by the command's
            own options, or of no use to it. Values are not looked at yet.
    """
    found: dict[str, dict[str, Any]] = {}
    for text in given:
        place, equals, value = text.partition("=")
        section, _, name = place.strip().replace("-", "_").partition(".")
        if not equals or not name or section not in sections:
            raise UsageError(f"--set {text}: expected SECTION.NAME=VALUE, the section one of {', '.join(sections)}")
        if f"{section}.{name}" in reserved:
            raise UsageError(
                f"--set {place}: has no effect here, or the command's own options decide this: see its --help"
            )
        own = found.setdefault(section, {})
        if section == "distill" and name.startswith("option."):
            own, name = own.setdefault("option", {}), name.removeprefix("option.")
        if name in own:
            raise UsageError(f"--set {place}: given twice")
        field = getattr(Params(), section).__class__.model_fields.get(name)
        own[name] = _parsed(field, value.strip()) if field and own is found[section] else value.strip()
    return found


def _completion(values: Sequence[str], listed: bool) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        done, comma, last = incomplete.rpartition(",") if listed else ("", "", incomplete)
        return [f"{done}{comma}{value}" for value in values if value.startswith(last)]

    return complete


def _replace(
    command: Command, name: str, options: Sequence[inspect.Parameter], collect: Callable[[dict[str, Any]], Any]
) -> Command:
    """``command`` with ``options`` in place of its parameter ``name``, which ``collect`` makes of their values."""
    signature = inspect.signature(command, eval_str=True)
    parameters = []
    for parameter in signature.parameters.values():
        parameters += list(options) if parameter.name == name else [parameter]

    @functools.wraps(command)
    def wrapper(**values: Any) -> Any:
        return command(**{name: collect(values)}, **values)

    wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper
