"""From the labels that a table or a list gives its images to class numbers and names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from csdm_cli.errors import CsdmError
from csdm_cli.safe_text import shown

Label = int | str
Place = Callable[[int], str]  # row -> where it stands, for messages


@dataclass(frozen=True)
class Classes:
    """The classes of a training set.

    Attributes:
        names: in label order.
        number_of: label as the source has it -> class number.
    """

    names: tuple[str, ...]
    number_of: dict[Label, int]

    def numbers(self, labels: Sequence[Label], place: Place, further: str = "") -> Tensor:
        """(N,) int64 class numbers.

        Args:
            labels: as the source has them.
            place: where each stands.
            further: advice about a label of no class, beside correcting it.

        Raises:
            CsdmError: naming the first row whose label is none of the classes.
        """
        found = [self.number_of.get(label) for label in labels]
        if None in found:
            row = found.index(None)
            many = len(self.names)
            what_to_do = f"correct it, {further or 'or leave the image out'}"
            raise CsdmError(f"{place(row)}: the label {_told(labels[row])} is none of the {many} classes: {what_to_do}")
        return torch.tensor(found, dtype=torch.int64)


def clean(value: Any, where: str) -> Label:
    """A label as found in a table: a class number, also written as a whole float, or a name; or a list of one.

    Raises:
        CsdmError: naming ``where``, if it is anything else.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value)
    raise CsdmError(f"{where}: the label is {_told(value)}, not a class number or name")


def refuse_mixed(labels: Sequence[Label], place: Place, like: Label | None = None) -> None:
    """Raise CsdmError if texts and numbers are mixed, or are of another kind than ``like``."""
    kind = type(labels[0] if like is None else like)
    for row, label in enumerate(labels):
        if type(label) is not kind:
            kinds = {int: "a number", str: "a text"}
            raise CsdmError(f"{place(row)}: the label {_told(label)} is {kinds[type(label)]}, others are {kinds[kind]}")


def named(names: Sequence[str], *, texts: bool) -> Classes:
    """Classes whose names are known; labels are their numbers, or the names themselves if ``texts``.

    Names that stand twice are told apart by their numbers, where labels are numbers.

    Raises:
        CsdmError: if labels are texts and a name stands twice.
    """
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if texts and doubled:
        raise CsdmError(f"two classes are called {_told(doubled[0])}, and labels are names: which is meant is unknown")
    distinct = (f"{name} ({number})" if name in doubled else name for number, name in enumerate(names))
    keys: Sequence[Label] = names if texts else range(len(names))
    return Classes(tuple(distinct), {key: number for number, key in enumerate(keys)})


def found_in(labels: Sequence[Label], place: Place) -> Classes:
    """Classes of which only labels are known: the texts found, sorted, or the numbers from 0 or 1 on.

    Raises:
        CsdmError: naming the row of the first number that leaves a gap before it, or is negative.
    """
    texts = sorted({label for label in labels if isinstance(label, str)})
    if texts:
        return named(sorted(texts, key=in_order(texts)), texts=True)
    numbers = sorted({label for label in labels if isinstance(label, int)})
    first = 1 if numbers[0] == 1 else 0
    wrong = next((label for number, label in enumerate(numbers, start=first) if label != number), None)
    if wrong is not None:
        raise CsdmError(
            f"{place(labels.index(wrong))}: the label is {_told(wrong)}, but the {len(numbers)} different "
            f"labels should be the numbers {first} to {first + len(numbers) - 1}: correct it, or use names"
        )
    return Classes(tuple(map(str, numbers)), {label: number for number, label in enumerate(numbers)})


def in_order(names: Sequence[str]) -> Callable[[str], Any]:
    """Sort key for class names: as numbers if all are, else as texts."""
    if all(name.isascii() and name.isdigit() for name in names):
        return lambda name: (int(name), name)
    return lambda name: name


def _told(value: Any) -> str:
    return shown(repr(value) if isinstance(value, str) else value, most=60)
