"""Scores in percent, as files hold them, as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def score_text(score: Mapping[str, Any] | None) -> str:
    """``51.2 ± 0.6``: mean and standard deviation of ``score``, the latter where there is one; a dash for none."""
    if not score or score.get("mean") is None:
        return "–"
    return f"{score['mean']:.1f}" + ("" if score.get("std") is None else f" ± {score['std']:.1f}")
