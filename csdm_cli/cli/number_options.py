"""Numbers that are typed as options without a section of params.yaml behind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from csdm_cli.runs.runtime import THREADS
from csdm_cli.settings.fields import DECIMAL, WHOLE


def whole_number(least: int, most: int) -> Callable[[Any], int]:
    """A reader of an option's text: an integer within these bounds, written as people write one."""

    def read(text: Any) -> int:
        if not WHOLE.fullmatch(str(text)) or not least <= int(text) <= most:
            raise typer.BadParameter(f"got {text}, expected an integer >= {least} and <= {most}")
        return int(text)

    return read


def decimal_number(least: float, most: float) -> Callable[[Any], float]:
    """A reader of an option's text: a number within these bounds, written as people write one."""

    def read(text: Any) -> float:
        if not DECIMAL.fullmatch(str(text)) or not least <= float(text) <= most:
            raise typer.BadParameter(f"got {text}, expected a number >= {least:g} and <= {most:g}")
        return float(text)

    return read


def thread_count(text: Any) -> int:
    """The value of ``--threads``."""
    return whole_number(*THREADS)(text)
