"""A kept result is taken if it is whole and of the same student and task; else the student is trained again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from csdm_cli.evaluation.kept import KeptRuns
from csdm_cli.evaluation.results import StudentRun

RUN = StudentRun(1, ((3, 1), (0, 2)), ((2, 0.5), (4, 5 / 6)))


def of(folder: Path | None) -> KeptRuns:
    return KeptRuns(folder, readings=1, classes=2, images=6, tested_after=(2, 4))


def test_what_is_kept_is_read_and_what_is_not_there_left_out(tmp_path):
    kept = of(tmp_path / "new")
    assert [path.name for path in kept.locks([0, 1])] == ["student-0.lock", "student-1.lock"]
    kept.write(1, [RUN])
    assert kept.read(range(3)) == {1: [RUN]}


def test_without_a_folder_nothing_is_kept():
    kept = of(None)
    kept.write(1, [RUN])
    assert kept.read([1]) == {} and kept.locks([1]) == []


@pytest.mark.parametrize(
    "other",
    [{"readings": 2}, {"classes": 3}, {"images": 7}, {"tested_after": (4,)}],
    ids=lambda change: next(iter(change)),
)
def test_a_result_of_another_task_is_removed(tmp_path, other):
    of(tmp_path).write(1, [RUN])
    assert replace(of(tmp_path), **other).read([1]) == {}
    assert not (tmp_path / "student-1.json").exists()


def test_a_result_that_was_changed_or_is_another_students_is_removed(tmp_path):
    of(tmp_path).write(1, [RUN])
    file = tmp_path / "student-1.json"
    file.write_text(file.read_text().replace("3", "4", 1))
    assert of(tmp_path).read([1]) == {} and not file.exists()
    of(tmp_path).write(0, [RUN])
    assert of(tmp_path).read([0]) == {}
