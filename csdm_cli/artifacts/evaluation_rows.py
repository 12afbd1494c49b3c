"""An evaluation's ``metrics.json`` as the rows of a table, and in words what they are of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from csdm_cli.evaluation.controls import ControlName, under_labels
from csdm_cli.names import AT_LEARNED_RATE, EvaluationSplit, LabelKind
from csdm_cli.parameterisations.stored import MADE_OF
from csdm_cli.safe_text import counted

GROUPS = {"accuracy": "all classes", "head": "head", "medium": "medium", "tail": "tail", "worst_class": "worst class"}


class Row(NamedTuple):
    """A row of the table.

    Attributes:
        name: with the labels, where they are not those of all controls.
        scores: mean, deviation and number of students of every score, in percent.
        control: whether it is what the set is compared with.
    """

    name: str
    scores: dict[str, Any]
    control: bool


def evaluation_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """All rows that ``metrics`` hold, in the order of the table of ``csdm evaluate``.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: if they are damaged.
    """
    method, labels = metrics.get("method", "this set"), _labels(metrics)
    stored_as = (metrics.get("storage") or {}).get("parameterization")
    coded = f", {stored_as}" if stored_as in MADE_OF else ""
    name = f"{method}{coded} ({labels} labels"
    rows = [Row(f"{name})", {key: metrics[key] for key in GROUPS if key in metrics}, control=False)]
    if learned := metrics.get("learned_rate"):
        rows.append(Row(f"{name}, {AT_LEARNED_RATE} {learned['lr']:.3g})", learned, control=False))
    alike = _in_order(metrics.get("controls_under_teacher_labels", {}))
    named = partial(under_labels, labels=labels, beside=method)
    rows += [Row(named(control), scores, control=True) for control, scores in alike.items()]
    rows += [Row(control, scores, control=True) for control, scores in _in_order(metrics.get("controls", {})).items()]
    inherited = metrics.get("inheritance", {}).get("rows", {})
    found = [Row(row, scores, row != f"{method} + inheritance") for row, scores in inherited.items()]
    return rows + sorted(found, key=lambda row: row.control)


def architecture_rows(
    name: str, scores: Mapping[str, Any], words: tuple[str, str] = ("distilled", "random")
) -> list[Row]:
    """The rows of one architecture in the metrics of ``csdm cross-arch``: of a backbone all that evaluate has of it.

    Args:
        name: the architecture's, or the backbone's.
        scores: its part of the metrics.
        words: for students of the set, and of random images; a backbone's rows have the names of evaluate's table.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: if they are damaged.
    """
    if "labels" in scores:
        found = evaluation_rows(scores)
    else:
        found = [Row(words[0], dict(scores), control=False)]
        found += [Row(words[1], scores["random"], control=True)] if "random" in scores else []
    return [row._replace(name=f"{name}: {row.name}") for row in found]


def own_row(rows: Iterable[str], method: str, labels: str) -> str:
    """The name of the set's own row among those of ``details.json``, which stand in the order of their names.

    Raises:
        KeyError: if it is not among them.
    """
    for name in rows:
        if name.startswith(method) and name.endswith(f"({labels} labels)"):
            return name
    raise KeyError(f"{method} ({labels} labels)")


def gap_closed(metrics: Mapping[str, Any]) -> float | None:
    """Share of the gap closed between controls under hard labels; None if teachers label what students see.

    Such labels raise random images as well, which then are no longer where the gap begins.
    """
    share: float | None = metrics.get("share_of_gap_closed")
    return None if _labels(metrics) == LabelKind.teacher else share


def gap_text(metrics: Mapping[str, Any]) -> str:
    """That share in a sentence; empty where there is none."""
    if (share := gap_closed(metrics)) is None:
        return ""
    return f"Share of the gap closed between random and {metrics['best_full_control']}: {share:.2f}."


def split_of(scores: Mapping[str, Any]) -> str:
    """The images that students were tested on; files of earlier releases that do not tell are read as ``test``."""
    return str(scores.get("split", EvaluationSplit.test))


def students_text(protocol: Mapping[str, Any]) -> str:
    """How many students of which network, for how long: ``3 students, convnet of width 16, 700 steps``."""
    network = protocol.get("network") or {}
    students = f"{network.get('name')} of width {network.get('width')}"
    if frozen := network.get("frozen"):
        students = f"linear probes of {network.get('name')} ({frozen.get('origin')})"
    elif protocol.get("probed"):
        students = f"linear probes of {students}"
    count, steps = protocol.get("students", 0), protocol.get("steps", 0)
    return f"{counted(count, 'student')}, {students}, {counted(steps, 'step')}"


def _labels(metrics: Mapping[str, Any]) -> str:
    return str(metrics.get("labels", LabelKind.hard))


def _in_order(controls: Mapping[str, Any]) -> dict[str, Any]:
    """Those that every table has in their order, then others."""
    return {str(name): controls[name] for name in ControlName if name in controls} | dict(controls)
