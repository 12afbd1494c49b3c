"""The results page on traffic signs says what the rows say."""

from __future__ import annotations

import statistics
from pathlib import Path

from csdm_cli.evaluation.scores import group_of_classes
from csdm_cli.ledger.store import read_rows

ROOT = Path(__file__).parents[2]
SPEED_LIMITS = {1, 2, 3, 4, 5, 7, 8}  # 30, 50, 60, 70, 80, 100 and 120 km/h


def test_speed_limits_beside_the_other_signs_of_the_head():
    (row,) = (row for row in read_rows(ROOT / "results") if row.name == "gtsrb-ipc10-width32-csdm-hard")
    groups = group_of_classes(row.data.counts)
    of_sets = [student.per_class for own in row.sets for student in own.students]
    per_class = [statistics.fmean(scores) for scores in zip(*of_sets, strict=True)]
    head, tail = set(groups.head), set(groups.tail)
    assert len(head) == 13 and head > SPEED_LIMITS
    limits, others, rare = (
        f"{100 * statistics.fmean(per_class[label] for label in part):.0f}"
        for part in (SPEED_LIMITS, head - SPEED_LIMITS, tail)
    )
    hardest = min(range(len(per_class)), key=per_class.__getitem__)
    assert hardest in tail
    page = " ".join((ROOT / "docs" / "results.md").read_text(encoding="utf-8").split())
    assert f"sets have {limits} in these seven, {others} in the head's other six, and {rare} in the tail" in page
    assert f"where the hardest of all is, too ({100 * per_class[hardest]:.0f} %)" in page
