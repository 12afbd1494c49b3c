"""Kinds of values that settings have: what each may be, and how it is said if it is not."""

from __future__ import annotations

import math
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from csdm_cli import names
from csdm_cli.methods import method_names
from csdm_cli.places import expanded
from csdm_cli.regularisers import parse, parse_all

Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]
Folder = Annotated[Path, AfterValidator(expanded)]


def _known_operations(text: str) -> str:
    parts = [] if text == "none" else text.split("_")
    if len(set(parts)) < len(parts) or not set(parts) <= set(names.Operation):
        raise ValueError(f"'none', or some of {', '.join(names.Operation)}, each once and joined by _")
    return text


Strategy = Annotated[str, AfterValidator(_known_operations)]


def known_method(name: str) -> str:
    """Raises: ValueError, with the names there are, if no method is called ``name``."""
    if name not in method_names():
        close = get_close_matches(name, method_names(), n=2)
        hint = f" (did you mean {' or '.join(close)}?)" if close else ""
        raise ValueError(f"one of {', '.join(method_names())}{hint}")
    return name


MethodName = Annotated[str, AfterValidator(known_method)]


def _known_regulariser(text: str) -> str:
    parse(text)
    return text


def _each_once(texts: list[str]) -> list[str]:
    parse_all(texts)
    return texts


Regularizers = Annotated[list[Annotated[str, AfterValidator(_known_regulariser)]], AfterValidator(_each_once)]


def _number_or_auto(value: Any) -> Any:
    try:
        number = 0.0 if value == "auto" else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError("a number >= 0, or auto")
    return value if value == "auto" else number


NumberOrAuto = Annotated[float | Literal["auto"], BeforeValidator(_number_or_auto)]
