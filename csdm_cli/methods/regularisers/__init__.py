"""Terms that any optimised method can take: one file per regulariser, named like it.

``base`` (what one is), ``centralization``, ``constraint``, ``covariance``, ``weighted`` (the terms of a run).

Names and weights are read without importing anything heavy, so that help and validation are instant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from csdm_cli.safe_text import meant

_NOT_REGULARISERS = {"__init__", "base", "weighted"}


@dataclass(frozen=True)
class RegulariserChoice:
    """A regulariser that the user asked for.

    Attributes:
        weight: None for the regulariser's own.
    """

    name: str
    weight: float | None = None


@cache
def regulariser_names() -> tuple[str, ...]:
    """All regularisers, in alphabetical order."""
    stems = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return tuple(sorted(stem for stem in stems if stem not in _NOT_REGULARISERS))


def parse(text: str) -> RegulariserChoice:
    """``NAME`` or ``NAME=WEIGHT``.

    Raises:
        ValueError: if there is no such regulariser, or the weight is not a positive number.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if name not in regulariser_names():
        hint = meant(name, regulariser_names())
        known = ", ".join(regulariser_names())
        raise ValueError(f"one of {known}, each as NAME or NAME=WEIGHT{f' ({hint})' if hint else ''}")
    if not equals:
        return RegulariserChoice(name)
    try:
        weight = float(value)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise ValueError(f"a weight above 0, such as {name}=0.1")
    return RegulariserChoice(name, weight)


def parse_all(texts: Sequence[str]) -> tuple[RegulariserChoice, ...]:
    """The result of :func:`parse` for each.

    Raises:
        ValueError: as :func:`parse`, or if one is given twice.
    """
    chosen = tuple(parse(text) for text in texts)
    names = [one.name for one in chosen]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"every regulariser once; {name} is there twice")
    return chosen
