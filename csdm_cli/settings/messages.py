"""Mistakes in settings, in words: where, what was received, what is allowed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from csdm_cli.errors import MISTAKE
from csdm_cli.safe_text import meant

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

Schema = dict[str, Any]


def report(where: str, found: Sequence[str]) -> str:
    """One line for one mistake; a heading and a line each for several. ``where`` may be empty."""
    prefix = f"{where}: " if where else ""
    if len(found) == 1:
        return prefix + found[0]
    return MISTAKE.join([f"{prefix}{len(found)} mistakes", *found])


def in_params(error: ValidationError, params: type[BaseModel]) -> list[str]:
    """The mistakes in a whole configuration; places are dotted paths such as ``distill.ipc``."""
    schema = params.model_json_schema()
    found = []
    for detail in error.errors():
        loc = detail["loc"]
        if loc and loc[0] not in schema["properties"]:
            found.append(_unknown(str(loc[0]), schema["properties"]))
        elif len(loc) < 2:
            found.append(_of_section(detail))
        else:
            own = schema["$defs"][schema["properties"][loc[0]]["$ref"].rpartition("/")[2]]
            found.append(_of_field(detail, loc[1:], own["properties"], schema["$defs"], f"{loc[0]}."))
    return list(dict.fromkeys(found))


def in_options(error: ValidationError, section: type[BaseModel]) -> list[str]:
    """The mistakes in a command's settings; places are options such as ``--n-max``."""
    schema = section.model_json_schema()
    found = []
    for detail in error.errors():
        if detail["loc"]:
            field = str(detail["loc"][0])
            first_word = schema["properties"].get(field, {}).get("positional")
            option = field.upper() if first_word else f"--{field.replace('_', '-')}"
            text = _of_field(detail, detail["loc"], schema["properties"], schema.get("$defs", {}), option=option)
            found.append(text.removesuffix(", or null"))
        else:
            found.append(_reason(detail))
    return list(dict.fromkeys(found))


def _of_field(
    detail: ErrorDetails,
    loc: tuple[int | str, ...],
    fields: Mapping[str, Schema],
    definitions: Mapping[str, Schema],
    prefix: str = "",
    option: str | None = None,
) -> str:
    field = str(loc[0])
    if field not in fields:
        return _unknown(field, fields, prefix)
    place, schema = option or f"{prefix}{field}", fields[field]
    if len(loc) > 1 and isinstance(loc[1], int):
        place += f" (item {loc[1] + 1})"
        schema = next(part["items"] for part in (schema, *schema.get("anyOf", ())) if "items" in part)
    wanted = _reason(detail) if detail["type"] == "value_error" else expected(schema, definitions)
    hint = _hint(str(detail["input"]), detail.get("ctx", {}).get("expected", ""))
    return f"{place}: got {_shown(detail['input'])}{hint}, expected {wanted}"


def _of_section(detail: ErrorDetails) -> str:
    place = ".".join(map(str, detail["loc"]))
    if detail["type"] == "value_error":
        return f"{place}: {_reason(detail)}" if place else _reason(detail)
    return f"{place}: got {_shown(detail['input'])}, expected a mapping of settings"


def _hint(value: str, choices: str) -> str:
    """The choice that was probably meant; ``choices`` as pydantic words them: ``'rbf', 'laplace' or 'matern'``."""
    hint = meant(value, choices.split("'")[1::2])
    return f" ({hint})" if hint else ""


def _reason(detail: ErrorDetails) -> str:
    return str(detail.get("ctx", {}).get("error") or detail["msg"])


def _unknown(key: str, allowed: Mapping[str, Any], prefix: str = "") -> str:
    hint = meant(key.lower().replace("-", "_"), allowed)
    return f"{prefix}{key}: unknown key; {hint}{' ' if hint else ''}Allowed: {', '.join(allowed)}"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def expected(schema: Schema, definitions: Mapping[str, Schema]) -> str:
    """A field's JSON schema in words, e.g. ``an integer >= 1, or null``."""
    if "$ref" in schema:
        return expected(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if schema.get("anyOf"):
        return ", or ".join(expected({**schema, **part, "anyOf": []}, definitions) for part in schema["anyOf"])
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        length = f" of at least {schema['minItems']}" if "minItems" in schema else ""
        return f"a list{length}, each {expected(schema['items'], definitions)}"
    words = {"integer": "an integer", "number": "a number", "boolean": "true or false", "string": "text"}
    words |= {"object": "a mapping of names to values"}
    return words.get(str(kind), str(kind)) + _bounds(schema)


def _figure(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def _bounds(schema: Schema) -> str:
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {_figure(schema[key])}" for key, sign in signs.items() if key in schema]
    return " " + " and ".join(bounds) if bounds else ""
