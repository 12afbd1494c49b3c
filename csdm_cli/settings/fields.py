"""Kinds of values that settings have: what each may be, and how it is said if it is not."""

from __future__ import annotations

import math
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from csdm_cli import names
from csdm_cli.methods import method_names
from csdm_cli.methods.regularisers import parse, parse_all
from csdm_cli.safe_text import meant


class Reader(StrEnum):
    """Who reads a setting of ``distill``; without one every method does."""

    optimised = "optimised"  # methods that optimise their images
    matching = "matching"  # those that match statistics, and whoever has a parameter of the setting's name
    decoding = "decoding"  # methods that can put several images into a stored one
    owner = "owner"  # methods that have a parameter of the setting's name
    chooser = "chooser"  # whoever chooses the method and its own parameters


def read_by(reader: Reader) -> dict[str, JsonValue]:
    """A field's ``json_schema_extra`` that names who reads it."""
    return {"reader": str(reader)}


def reader_of(field: FieldInfo) -> Reader | None:
    """Who reads a setting; None: every method."""
    extra = field.json_schema_extra
    return Reader(str(extra["reader"])) if isinstance(extra, dict) and "reader" in extra else None


# Marks of fields: those of make_lt that say how a source is read, those of pretrain that shape some networks only, and
# those of distill that a preset or the method decides for itself.
SAYS_HOW_TO_READ: dict[str, JsonValue] = {"says_how_to_read": True}
DECIDED_BY_METHOD: dict[str, JsonValue] = {"decided_by_method": True}
# Of no use to compare, or decided by its own options.
NOT_FOR_COMPARE: dict[str, JsonValue] = {"compare": False}


def shapes(*networks: str) -> dict[str, JsonValue]:
    """A field's ``json_schema_extra`` that names the networks whose shape it decides."""
    return {"shapes": list(networks)}


def marks_of(field: FieldInfo) -> dict[str, JsonValue]:
    """All marks of a field, by name; none without ``json_schema_extra``."""
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


# Upper bounds are far above what anybody needs, and far below what stops a machine before anything is checked.
Positive = Annotated[int, Field(ge=1, le=10**6)]
Few = Annotated[int, Field(ge=1, le=1000)]  # of what is trained whole, such as teachers and students
Steps = Annotated[int, Field(ge=1, le=10**7)]
Images = Annotated[int, Field(ge=1, le=10**8)]
Side = Annotated[int, Field(ge=1, le=4096)]  # pixels
Width = Annotated[int, Field(ge=1, le=8192)]
Depth = Annotated[int, Field(ge=1, le=32)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Imbalance = Annotated[float, Field(ge=1, le=1e6)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0, le=1e6)]
NonNegative = Annotated[float, Field(ge=0, le=1e9)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]


def _expanded(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("a name without the character NUL")
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("a folder; this home folder is not known here") from None


Folder = Annotated[Path, AfterValidator(_expanded)]


def _one_or_three(value: int) -> int:
    if value not in (1, 3):
        raise ValueError("1 (grey) or 3 (colour)")
    return value


Channels = Annotated[int, AfterValidator(_one_or_three)]


def colour(text: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of a colour's name or its ``#rrggbb``.

    Raises:
        ValueError: if it is neither.
    """
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        raise ValueError("a colour such as white, black or #ff8800") from None
    return red, green, blue


def _known_colour(text: str) -> str:
    colour(text)
    return text


Colour = Annotated[str, AfterValidator(_known_colour)]


def _known_pattern(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"a regular expression ({error})") from None
    return text


Pattern = Annotated[str, AfterValidator(_known_pattern)]
WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
DECIMAL = re.compile(r"[+-]?([0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?")


def is_number(annotation: Any) -> bool:
    """Whether a field of this type takes a number: ``int``, ``float``, perhaps annotated, listed or among others."""
    if get_origin(annotation) is dict:
        return False
    return annotation in (int, float) or any(map(is_number, get_args(annotation)))


def refuse_loose_number(value: Any) -> None:
    """Python also reads ``1_000``, ``' 5 '``, ``infinity`` and digits of other scripts as numbers: all likely slips.

    Raises:
        PydanticCustomError: for a text that is a number to Python, but not as people write one.
    """
    if isinstance(value, str) and not DECIMAL.fullmatch(value):
        try:
            float(value)
        except ValueError:
            return  # for whoever knows what it should be
        if math.isfinite(float(value)):
            raise PydanticCustomError("loose_number", "digits, without spaces or underscores")


def _known_operations(text: str) -> str:
    parts = [] if text == "none" else text.split("_")
    if len(set(parts)) < len(parts) or not set(parts) <= set(names.Operation):
        raise ValueError(f"'none', or some of {', '.join(names.Operation)}, each once and joined by _")
    return text


Strategy = Annotated[str, AfterValidator(_known_operations)]


def _known_views(text: str) -> str:
    parts = text.split("_")
    unknown = [part for part in parts if part not in tuple(names.ViewOperation)]
    if unknown or len(set(parts)) < len(parts):
        raise ValueError(f"some of {', '.join(names.ViewOperation)} joined by _, each once")
    return text


Views = Annotated[str, AfterValidator(_known_views)]


def known_method(name: str) -> str:
    """Raises: ValueError, with the names there are, if no method is called ``name``."""
    if name not in method_names():
        hint = meant(name, method_names(), most=2)
        raise ValueError(f"one of {', '.join(method_names())}{f' ({hint})' if hint else ''}")
    return name


MethodName = Annotated[str, AfterValidator(known_method)]


def _known_regulariser(text: str) -> str:
    parse(text)
    return text


def _each_once(texts: list[str]) -> list[str]:
    parse_all(texts)
    return texts


Regularizers = Annotated[list[Annotated[str, AfterValidator(_known_regulariser)]], AfterValidator(_each_once)]


def _numbers_as_names(value: Any) -> Any:
    """Names that YAML reads as numbers, as texts."""
    if not isinstance(value, list):
        return value
    return [str(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in value]


ClassNames = Annotated[list[str], BeforeValidator(_numbers_as_names)]


def _number_or_auto(value: Any) -> Any:
    try:
        refuse_loose_number(value)
        number = 0.0 if value == "auto" else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1e6:
        raise ValueError("a number >= 0, or auto")
    return value if value == "auto" else number


NumberOrAuto = Annotated[float | Literal["auto"], BeforeValidator(_number_or_auto)]


def _rate_or_learned(value: Any) -> Any:
    try:
        refuse_loose_number(value)
        number = 1.0 if value == names.LEARNED else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number <= 1e6:
        raise ValueError(f"a number > 0, or {names.LEARNED}")
    return value if value == names.LEARNED else number


RateOrLearned = Annotated[float | Literal["learned"], BeforeValidator(_rate_or_learned)]


def ratio(value: float | str) -> float | None:
    """R of ``Rx``, R times the norm of the method's own gradient; None of a plain number."""
    return float(value[:-1]) if isinstance(value, str) else None


def _number_or_ratio(value: Any) -> Any:
    text = value.strip() if isinstance(value, str) else value
    relative = isinstance(text, str) and text.endswith("x")
    try:
        number = float(text[:-1] if relative else text)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError("a number >= 0, or a ratio such as 1x")
    return f"{number:g}x" if relative else number


NumberOrRatio = Annotated[float | str, BeforeValidator(_number_or_ratio)]
