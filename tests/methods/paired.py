"""Two sets compared by students in pairs: those of equal seeds differ by their set alone."""

from __future__ import annotations

from statistics import fmean

from csdm_cli.evaluation.results import Evaluation
from csdm_cli.evaluation.scores import paired_half_width


def check_better(after: Evaluation, before: Evaluation) -> None:
    """That the mean gain in accuracy is more than the half-width of its 95 % interval."""
    pairs = zip(after.scores, before.scores, strict=True)
    gains = [one.accuracy - other.accuracy for one, other in pairs]
    width = paired_half_width(gains)
    assert width is not None and fmean(gains) > width, gains
