"""Which sets make a row, and what its scale says."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from csdm_cli.artifacts.run_record import Machine, RunRecord
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.ledger.row import Maker
from csdm_cli.ledger.rows_from_runs import build_row, by_row, maker_of, rows_of, scale_text, students_of
from csdm_cli.storage.keys import Commit
from tests.ledger.rows import full_row, row


def found(subject="dm (hard labels)", ipc=10, train="a", seed=0, steps=9, score=0.5, **told):
    data, config = {"fingerprints": {"train": train}}, {"distill": {"ipc": ipc}}
    evaluation = SimpleNamespace(
        students=[SimpleNamespace(best_on_test=score)], scores=[SimpleNamespace(accuracy=score, per_class=(score,))]
    )
    same = {"config": config, "protocol": {"steps": steps}, "evaluation": evaluation}
    return SimpleNamespace(subject=subject, ipc=ipc, data=data, tested_on="test", seed=seed, **same, **told)


def test_sets_that_differ_by_their_seed_alone_are_of_one_row():
    own = [found(seed=0), found(seed=1), found(seed=0), found(ipc=1), found("random"), found(train="b")]
    groups = by_row(own)
    assert [[one.seed for one in group] for group in groups] == [[0, 1], [0], [0], [0]]
    assert groups[0] == [own[0], own[1]]


@pytest.mark.parametrize("told", [{"steps": 8}, {"score": 0.6}])
def test_a_seed_that_was_measured_twice_otherwise_is_refused(told):
    """Which of both were the row's, nothing tells; what stands beside two sets is the same in both."""
    with pytest.raises(CsdmError, match=r"dm \(hard labels\), seed 0: measured twice"):
        by_row([found(), found(seed=1), found(**told)])
    with pytest.raises(CsdmError, match="full, cross-entropy: measured twice"):
        by_row([found("full, cross-entropy", seed=None), found("full, cross-entropy", seed=None, **told)])


def test_students_in_their_order():
    runs = [SimpleNamespace(best_on_test=best) for best in (0.6, 0.8)]
    scores = [SimpleNamespace(accuracy=value, per_class=(value, None)) for value in (0.5, 0.7)]
    told = students_of(SimpleNamespace(students=runs, scores=scores))
    assert [(one.accuracy, one.best_on_test, one.per_class[0]) for one in told] == [(0.5, 0.6, 0.5), (0.7, 0.8, 0.7)]


def test_a_set_tells_its_maker_if_the_row_does_not():
    here, there = Machine("some", 1, None, "Linux", "3.11"), Machine("some", 1, "a GPU", "Linux", "3.11")
    code = Commit("c0ffee", dirty=False)

    def maker(machine, made_by):
        record = RunRecord("", 1.0, 2, machine, made_by)
        return maker_of(SimpleNamespace(making=record, machine=here, code=code))

    assert maker(here, code) is None
    assert maker(there, code) == Maker(there, "c0ffee", dirty=False)
    assert maker(here, Commit("c0ffee", dirty=True)) == Maker(here, "c0ffee", dirty=True)
    assert maker(here, None) == Maker(here, None, None)
    assert maker_of(SimpleNamespace(making=None, machine=here, code=code)) is None


def test_scale_in_words():
    selected = row(method="herding")
    selected.config["distill"]["teacher_schedule"] = None
    steps = selected.student_steps
    assert scale_text(selected) == f"ConvNet-3 of width 128, students of {steps:,} steps; 2 sets × 2 students"
    selected.config["pretrain"] |= {"experts": 3, "expert_snapshots": 20, "snapshot_every": 50}
    assert scale_text(replace(selected, method="mtt")).startswith(
        "ConvNet-3 of width 128, 3 experts of 1,000 steps, 1,000 iterations, students"
    )
    whole = full_row()
    whole.config["distill"]["teacher_schedule"] = None
    assert scale_text(whole).endswith(f"; {len(whole.sets[0].students)} students")


def test_what_cannot_be_a_row_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"--table: got 'My table'"):
        rows_of([tmp_path], "My table", None, controls=False)
    with pytest.raises(CsdmError, match="nothing tells which machine"):
        build_row([found(machine=None)], None, None)
