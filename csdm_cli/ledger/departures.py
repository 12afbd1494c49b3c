"""Departures of a row from the method's own paper, as far as csdm knows it: its preset, and what no option sets.

What makes a row smaller than the CSDM paper's, whose tables hold all values, is in ``matching.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from csdm_cli.ledger.protocol import Protocol
from csdm_cli.ledger.row import Row
from csdm_cli.methods import load, method_names
from csdm_cli.methods.contract import MethodClass, OptimisedMethod

NONE = "none"  # a method's departures where there are none


def method_departures(row: Row, told: Mapping[str, Any]) -> list[str]:
    """Its runs, what the method does otherwise than its paper, and the settings that are not its paper's.

    A method's departures are told as they are today. Controls on all real images are no method's.

    Args:
        row: row of the ledger.
        told: settings from which it departs as was said elsewhere.
    """
    students = len(row.sets[0].students)
    runs = f"runs: {students if row.is_full_data else f'{len(row.sets)} × {students}'}"
    if row.ipc is None or row.method not in method_names():
        return [runs]
    cls = load(row.method)
    found = [runs] if cls.departures == NONE else [runs, cls.departures]
    if row.protocol is Protocol.first and issubclass(cls, OptimisedMethod) and row.config["distill"].get("calibration"):
        found.append("calibration a mean over classes, not a sum")
    own = other_settings(row, cls, row.ipc, told)
    return [*found, f"its own paper has {', '.join(own)}"] if own else found


def is_optimised(row: Row) -> bool:
    """Whether the row's method moves images step by step."""
    return row.method in method_names() and issubclass(load(row.method), OptimisedMethod)


def other_settings(row: Row, cls: MethodClass, ipc: int, told: Mapping[str, Any]) -> list[str]:
    """Settings of the preset ``paper`` that the row does not have: with the paper's value and the row's."""
    sections, found = {str(name): section for name, section in row.config.items()}, []
    for section, wanted in cls.paper(ipc).items():
        had = sections[section]
        plain = {name: value for name, value in wanted.items() if name != "option" and told.get(name) != value}
        found += _other(plain, had)
        options = {field.name: field.default for field in fields(cls.Parameters)} | dict(had.get("option", {}))
        found += _other(wanted.get("option", {}), options)
    return found


def _other(wanted: Mapping[str, Any], had: Mapping[str, Any]) -> list[str]:
    other = {name: value for name, value in wanted.items() if not _equal(had.get(name), value)}
    return [f"{name.replace('_', ' ')} {_told(value)} (here {_told(had.get(name))})" for name, value in other.items()]


def _equal(had: Any, wanted: Any) -> bool:
    """Options of rows are text."""
    return str(had) == str(wanted) or (_is_number(had) and _is_number(wanted) and float(had) == float(wanted))


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _told(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "not set" if value is None else str(value)
