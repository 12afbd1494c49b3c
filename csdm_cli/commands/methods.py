"""``csdm methods``: what can be distilled with, where it comes from, and what may be set."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields
from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from rich.console import RenderableType

from csdm_cli.display.console import emit
from csdm_cli.display.tables import facts_table, texts_table
from csdm_cli.errors import UsageError
from csdm_cli.methods import load, method_names
from csdm_cli.methods.contract import MatchingMethod, MethodClass, OptimisedMethod
from csdm_cli.runs.method_options import reads
from csdm_cli.settings import sections
from csdm_cli.settings.fields import Reader, known_method
from csdm_cli.settings.presets import COMMON


def run(name: str | None, ipc: int, *, as_json: bool) -> None:
    """List all methods, or tell about one, with its paper's settings at ``ipc``.

    Raises:
        UsageError: if there is no such method.
    """
    if name is None:
        listed = {each: outline(load(each)) for each in method_names()}
        emit(listed, lambda: _list(listed), as_json=as_json)
        return
    try:
        known_method(name)
    except ValueError as error:
        raise UsageError(f"NAME: got {name!r}, expected {error}") from None
    described = {"name": name} | describe(name, ipc)
    emit(described, lambda: _page(described), as_json=as_json)


def outline(cls: MethodClass) -> dict[str, str]:
    """A method in one line each: what it does, where it comes from, what it costs, and its labels."""
    return {
        "summary": cls.summary,
        "kind": "optimises" if issubclass(cls, OptimisedMethod) else "selects",
        "labels": str(cls.default_labels),
        "source": cls.source,
        "cost": cls.cost,
    }


def describe(name: str, ipc: int) -> dict[str, Any]:
    """All about the method called ``name``, as JSON values."""
    cls = load(name)
    own: dict[str, Any] = dict(outline(cls)) | {"departures": cls.departures}
    if issubclass(cls, MatchingMethod):
        own |= {"calibration": cls.default_calibration, "teacher_schedule": str(cls.default_schedule)}
    return own | {
        "parameters": own_parameters(cls),
        "shared_options": shared_options(cls),
        "common": _plain(COMMON.get(name, {})),
        "paper": _plain(cls.paper(ipc)),
        "paper_ipc": ipc,
    }


def own_parameters(cls: MethodClass) -> dict[str, dict[str, Any]]:
    """The parameters that ``--option NAME=VALUE`` sets: kind, default and meaning."""
    hints = get_type_hints(cls.Parameters, include_extras=True)
    shared = sections.Distill.model_fields
    return {
        field.name: {
            "kind": _kind(hints[field.name]),
            "default": None if field.default is MISSING else _plain(field.default),
            "help": field.metadata.get("help", ""),
        }
        for field in fields(cls.Parameters)
        if field.name not in shared
    }


def shared_options(cls: MethodClass) -> list[str]:
    """The options of ``csdm distill`` that it reads, in the order of their help."""
    choosing = sections.Distill.names_read_by(Reader.chooser)
    known = [name for name in sections.Distill.model_fields if name not in choosing and reads(cls, name)]
    return [f"--{name.replace('_', '-')}" for name in known]


def _kind(hint: Any) -> str:
    """A type in words: its choices, or its name and bounds."""
    if get_origin(hint) is Annotated:
        plain, *notes = get_args(hint)
        signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
        parts = [part for note in notes for part in getattr(note, "metadata", [note])]
        bounds = [f"{sign} {getattr(part, key)}" for part in parts for key, sign in signs.items() if hasattr(part, key)]
        return " ".join([_kind(plain), *bounds])
    if get_origin(hint) is Literal:
        return ", ".join(map(str, get_args(hint)))
    if get_origin(hint) is types.UnionType:
        return " or ".join(_kind(part) for part in get_args(hint))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return ", ".join(str(member) for member in hint)
    name = getattr(hint, "__name__", str(hint))
    return {"NoneType": "none", "bool": "true or false", "int": "integer", "float": "number"}.get(name, name)


def _plain(value: Any) -> Any:
    """As JSON values; names of choices become text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return value if value is None or isinstance(value, (int, float)) else str(value)


def _list(listed: Mapping[str, Mapping[str, str]]) -> list[RenderableType]:
    table = texts_table("method", ("what it does", "labels", "source", "cost"))
    for name, item in listed.items():
        table.add_row(name, item["summary"], item["labels"], item["source"], item["cost"])
    return [table, "[dim]csdm methods NAME tells all about one; csdm distill --method NAME distils with it.[/]"]


def _page(found: Mapping[str, Any]) -> list[RenderableType]:
    grid = facts_table()
    for name in ("summary", "source", "cost", "labels", "calibration", "teacher_schedule", "departures"):
        if name in found:
            grid.add_row(name.replace("_", " "), str(found[name]))
    grid.add_row("reads", " ".join(found["shared_options"]))
    for section, values in found["paper"].items():
        shown = ", ".join(f"{name} {_shown(value)}" for name, value in values.items())
        grid.add_row(f"paper, {section}", f"{shown} (at IPC {found['paper_ipc']})")
    for section, values in found["common"].items():
        shown = ", ".join(f"{name} {_shown(value)}" for name, value in values.items())
        grid.add_row(f"common, {section}", shown)
    parts: list[RenderableType] = [f"[bold]{found['name']}[/]", grid]
    if not found["parameters"]:
        return [*parts, "It has no parameters of its own."]
    table = texts_table("--option", ("default", "kind", "what it is"))
    for name, item in found["parameters"].items():
        table.add_row(name, *(str(item[part]) for part in ("default", "kind", "help")))
    return [*parts, "", table]


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{name} {_shown(item)}" for name, item in value.items()) + ")"
    return str(value)
