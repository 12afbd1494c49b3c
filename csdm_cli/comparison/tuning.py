"""A grid of settings for every method of a comparison: as many trials for each, listed, on the development set."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from csdm_cli.comparison.tables import Table
from csdm_cli.errors import UsageError
from csdm_cli.names import EvaluationSplit
from csdm_cli.settings import sections
from csdm_cli.settings.resolve import with_values


@dataclass(frozen=True)
class Point:
    """One trial of the grid: settings of ``distill`` by name, as they were typed; none for all as it is."""

    values: tuple[tuple[str, str], ...] = ()

    def named(self, method: str) -> str:
        """The row of ``method`` with these settings."""
        return ", ".join([method, *(f"{name} {value}" for name, value in self.values)])

    def on(self, params: sections.Params) -> sections.Params:
        """``params`` with these settings on top.

        Raises:
            UsageError: if one of them is unknown or wrong.
        """
        own: dict[str, Any] = {}
        for name, value in self.values:
            place = own.setdefault("option", {}) if name.startswith("option.") else own
            place[name.removeprefix("option.")] = value
        return with_values(params, {"distill": own}, "--tune") if own else params


def grid(text: str | None) -> list[Point]:
    """All combinations of ``NAME=VALUE,VALUE;NAME=VALUE,VALUE``; of nothing the one without settings.

    Raises:
        UsageError: if it is not written so.
    """
    if text is None:
        return [Point()]
    axes = []
    for part in text.split(";"):
        name, values = values_of(part, "--tune")
        axes.append([(name, value) for value in values])
    names = [axis[0][0] for axis in axes]
    if len(set(names)) < len(names):
        raise UsageError(f"--tune {text}: a setting stands there twice")
    if unknown := [name for name in names if not (name in sections.Distill.model_fields or name.startswith("option."))]:
        raise UsageError(f"--tune {unknown[0]}: distill has no such setting (a method's own is called option.NAME)")
    return [Point(values) for values in itertools.product(*axes)]


def refuse_to_tune_on_test(settings: sections.Compare, params: sections.Params) -> None:
    """Raises: UsageError if a grid is asked for whose trials would be evaluated by the test images."""
    if settings.tune and (settings.split or params.evaluate.split) is not EvaluationSplit.dev:
        raise UsageError("--tune chooses settings, for which test images are not: add --split dev")


def chosen(item: Table, methods: Sequence[str], points: Sequence[Point]) -> dict[str, Any]:
    """Every method's trials with their accuracies in percent, the best first named, as JSON values."""
    scores = {row.name: row.accuracy.students for row in item.rows}
    found: dict[str, Any] = {}
    for method in methods:
        trials = [_trial(point, scores.get(point.named(method))) for point in points]
        done = [trial for trial in trials if trial["accuracy"] is not None]
        best: Mapping[str, Any] = max(done, key=lambda trial: trial["accuracy"], default={})
        found[method] = {"best": best.get("settings"), "accuracy": best.get("accuracy"), "trials": trials}
    return found


def _trial(point: Point, score: Any) -> dict[str, Any]:
    mean, spread = (None, None) if score is None else (100 * score.mean, score.std and 100 * score.std)
    return {"settings": dict(point.values), "accuracy": mean, "std": spread}


def values_of(text: str, option: str) -> tuple[str, list[str]]:
    """``NAME=VALUE,VALUE`` as a setting's name and its values.

    Raises:
        UsageError: if it is not written so; it names ``option``.
    """
    name, equals, values = text.partition("=")
    found = [value.strip() for value in values.split(",")]
    if not equals or not name.strip() or not all(found):
        raise UsageError(f"{option} {text}: expected NAME=VALUE,VALUE, several by semicolon")
    return name.strip().replace("-", "_"), found
