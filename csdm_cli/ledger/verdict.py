"""Whether a row that was run again came out as before."""

from __future__ import annotations

import math
from dataclasses import dataclass

from csdm_cli.ledger.row import Row
from csdm_cli.scores import Summary


@dataclass(frozen=True)
class Verdict:
    """What a repetition showed.

    Attributes:
        bit_equal: every student got the same accuracy on every class.
        difference: of the means, as a fraction; the later less the earlier.
        tolerance: two standard errors of that difference; None where students are too few to tell.
    """

    bit_equal: bool
    difference: float
    tolerance: float | None

    @property
    def agrees(self) -> bool:
        """Bit-equal, or within two standard errors."""
        return self.bit_equal or (self.tolerance is not None and abs(self.difference) <= self.tolerance)

    def __str__(self) -> str:
        if self.bit_equal:
            return "bit-equal: every student has the same accuracy on every class"
        text = f"not bit-equal; {100 * self.difference:+.2f} points"
        if self.tolerance is None:
            return f"{text}, and a single student has no standard error to compare that with"
        where = "within" if self.agrees else "outside"
        return f"{text}, {where} two standard errors ({100 * self.tolerance:.2f})"


def compare_rows(before: Row, again: Row) -> Verdict:
    """Judge ``again``, a repetition of ``before``."""
    return Verdict(
        bit_equal=_scores(before) == _scores(again),
        difference=again.spread.mean - before.spread.mean,
        tolerance=_tolerance(before.spread, again.spread),
    )


def _scores(row: Row) -> list[list[tuple[float, tuple[float | None, ...]]]]:
    return [[(student.accuracy, student.per_class) for student in found.students] for found in row.sets]


def _tolerance(before: Summary, again: Summary) -> float | None:
    if before.std is None or again.std is None:
        return None
    return 2 * math.sqrt(before.std**2 / before.count + again.std**2 / again.count)
