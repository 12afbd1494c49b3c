"""Where a command's settings come from: defaults < preset < params.yaml < command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from csdm_cli.errors import UsageError
from csdm_cli.names import Preset
from csdm_cli.safe_text import shown
from csdm_cli.settings import messages
from csdm_cli.settings.presets import overlaid, preset_values
from csdm_cli.settings.sections import Params, Section
from csdm_cli.storage.bounded import bounded

MOST_YAML_BYTES = 2**18
MOST_YAML_VALUES = 10_000

SectionT = TypeVar("SectionT", bound=Section)
# Kinds of values that YAML knows and a file may ask for wrongly, such as a 45th of November.
WRITTEN_AS = {"int": "a whole number", "float": "a number", "bool": "true or false", "timestamp": "a date"}
NEAR_MISS = 0.8  # likeness from which a section's name is taken for a slip: distil and make-lt are, train is not


@dataclass(frozen=True)
class Resolved(Generic[SectionT]):
    """The settings that a command runs with.

    Attributes:
        section: the command's own settings, after the command line.
        params: every section; the command's own is ``section``.
        given: fields that the command line set.
        origin: one line that tells where the settings came from.
    """

    section: SectionT
    params: Params
    given: frozenset[str]
    origin: str


def load_params(path: Path) -> Params:
    """Read and validate a params.yaml (YAML 1.2, as DVC reads it).

    Sections of other programs are left alone; a name that is nearly one of ours is a mistake.

    Raises:
        UsageError: if there is no such file, it is not YAML, or its settings are wrong; all wrong keys and
            values are named at once.
    """
    return _validated(_without_foreign(read_yaml(path)), str(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, not yet validated; an empty file is an empty mapping."""
    from ruamel.yaml.error import YAMLError

    try:
        if path.stat().st_size > MOST_YAML_BYTES:
            raise UsageError(f"{path} is longer than {MOST_YAML_BYTES:,} bytes: it cannot be a file of settings")
        content = bounded(_loaded(path.read_text(encoding="utf-8")), MOST_YAML_VALUES)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    except RecursionError:
        raise UsageError(f"{path}: not settings (nested too deeply)") from None
    except ValueError as error:
        if isinstance(error, UnicodeDecodeError):
            raise UsageError(f"{path}: not YAML (unreadable)") from None
        raise UsageError(f"{path}: not settings ({error})") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"{path}{place}: not YAML ({getattr(error, 'problem', None) or 'unreadable'})") from None
    if content is not None and not isinstance(content, dict):
        held = "a list" if isinstance(content, list) else "a single value"
        raise UsageError(f"{path} holds {held}; expected sections such as 'distill:'")
    return content or {}


def _loaded(text: str) -> Any:
    """The value in ``text``.

    Raises:
        YAMLError: if it is no YAML; with the line and in words, if a value is not of the kind that it is written as.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import ConstructorError, SafeConstructor

    class Constructor(SafeConstructor):
        def construct_object(self, node: Any, deep: bool = False) -> Any:
            try:
                return super().construct_object(node, deep)
            except (ValueError, KeyError, OverflowError):  # in words of Python, and without the line
                kind = WRITTEN_AS.get(node.tag.rpartition(":")[2], "a value")
                reason = f"{shown(node.value, most=40)} cannot be read as {kind}"
                raise ConstructorError(None, None, reason, node.start_mark) from None

    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = Constructor
    return yaml.load(text)


def _without_foreign(content: dict[str, Any]) -> dict[str, Any]:
    """The sections that are ours, or were meant to be; and settings that stand outside of any section."""
    sections = Params.model_fields
    settings = {name for section in sections for name in type(getattr(Params(), section)).model_fields}

    def ours(key: Any, value: Any) -> bool:
        name = str(key).lower().replace("-", "_")
        meant = get_close_matches(name, sections, n=1, cutoff=NEAR_MISS)
        outside = name in settings or not isinstance(key, str)
        return bool(meant) or (outside and not isinstance(value, dict))

    return {key: value for key, value in content.items() if ours(key, value)}


def section_name(section: type[Section]) -> str:
    """The key of ``section`` in params.yaml."""
    return next(name for name, field in Params.model_fields.items() if field.annotation is section)


def resolve(
    section: type[SectionT],
    given_params: Path | Mapping[str, Any] | None,
    overrides: Mapping[str, Any],
    preset: Preset | None = None,
) -> Resolved[SectionT]:
    """Settings of one command: defaults < ``preset`` < ``given_params``, a file or its content < ``overrides``.

    The last are of the command line, or of a call in Python.

    Raises:
        UsageError: if the file or an override is wrong; overrides are named as the options they came from.
    """
    name = section_name(section)
    params = _params(given_params)
    given = getattr(params, name).model_dump(exclude_unset=True)
    try:
        own = section.model_validate(overlaid(given, overrides))
    except ValidationError as error:
        raise UsageError(messages.report("", messages.in_options(error, section))) from None
    whole = params.model_copy(update={name: own})
    origin = ["defaults"]
    if preset:
        below, whole = whole, with_preset(whole, preset)
        own = getattr(whole, name)
        origin.append(f"preset {preset} ({', '.join(_changed(below, whole)) or 'nothing left to set'})")
    if given_params:
        origin.append(str(given_params) if isinstance(given_params, Path) else "params")
    if overrides:
        origin.append(f"command line ({', '.join(sorted(overrides))})")
    return Resolved(own, whole, frozenset(overrides), "settings: " + " < ".join(origin))


def _params(given: Path | Mapping[str, Any] | None) -> Params:
    if isinstance(given, Path):
        return load_params(given)
    return _validated(dict(given or {}), "params")


def _validated(values: Mapping[str, Any], where: str) -> Params:
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise UsageError(messages.report(where, messages.in_params(error, Params))) from None


def with_preset(params: Params, preset: Preset) -> Params:
    """``params`` with what ``preset`` says of their method, wherever nothing was set.

    Raises:
        UsageError: if the preset contradicts what was set.
    """
    method, ipc = params.distill.method, params.distill.ipc
    return _joined(params, preset_values(preset, method, ipc), {}, f"preset {preset} of {method}")


def with_values(params: Params, values: Mapping[str, Any], where: str) -> Params:
    """``params`` with ``values`` by section on top, which came from ``where``.

    Raises:
        UsageError: if one of them is unknown or wrong.
    """
    return _joined(params, {}, values, where)


def _joined(params: Params, below: Mapping[str, Any], above: Mapping[str, Any], where: str) -> Params:
    return _validated(overlaid(below, params.model_dump(exclude_unset=True), above), where)


def _changed(before: Params, after: Params) -> list[str]:
    """The settings that differ, as ``section.name``."""
    sections = [name for name in type(after).model_fields if getattr(before, name) != getattr(after, name)]
    return [
        f"{section}.{name}"
        for section in sections
        for name, value in getattr(after, section)
        if value != getattr(getattr(before, section), name)
    ]
