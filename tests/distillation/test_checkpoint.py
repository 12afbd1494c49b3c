"""A checkpoint gives back what was kept, of its own run and division alone."""

from __future__ import annotations

import time

import pytest
import torch

from csdm_cli.distillation.checkpoint import Checkpoint, kept_number
from csdm_cli.parallel.class_shares import ClassShare
from csdm_cli.storage import tensorfile

CPU = torch.device("cpu")
STATE = {"images": torch.arange(4.0), "moments": torch.ones(2, dtype=torch.float64)}


def test_what_was_kept_comes_back(tmp_path):
    Checkpoint(tmp_path, "run", 0).save(7, STATE)
    found = Checkpoint(tmp_path, "run", 0).load(CPU)
    assert found is not None and found[0] == 7 and found[1].keys() == STATE.keys()
    assert all(torch.equal(found[1][name], STATE[name]) for name in STATE)
    assert Checkpoint(tmp_path, "other", 0).load(CPU) is None


def test_the_seconds_of_all_processes_come_back_with_the_state(tmp_path):
    """Those of a file that does not tell them stay unknown in the files after it."""
    Checkpoint(tmp_path, "run", 0, began=time.monotonic() - 100).save(7, STATE)
    second = Checkpoint(tmp_path, "run", 0, began=time.monotonic() - 1000)
    second.load(CPU)
    assert 100 <= second.earlier_seconds < 200
    second.save(8, STATE)
    third = Checkpoint(tmp_path, "run", 0)
    assert third.earlier_seconds == 0
    third.load(CPU)
    assert 1100 <= third.earlier_seconds < 1300
    tensorfile.save(third.path, STATE, {"key": "run", "step": 8})  # as earlier versions did
    for _ in range(2):
        later = Checkpoint(tmp_path, "run", 0)
        later.load(CPU)
        assert later.earlier_seconds is None
        later.save(9, STATE)


def test_it_is_due_after_its_seconds(tmp_path):
    assert Checkpoint(tmp_path, "run", 0).due() and not Checkpoint(tmp_path, "run", 1e9).due()


def test_a_damaged_file_is_told_and_the_run_begins_anew(tmp_path, aloud, capsys):
    checkpoint = Checkpoint(tmp_path, "run", 0)
    checkpoint.save(7, STATE)
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-3])
    assert checkpoint.load(CPU) is None and str(checkpoint.path) in capsys.readouterr().err


def test_a_share_resumes_in_the_same_division_only(tmp_path, aloud, capsys):
    two, three = (ClassShare(0, world, 0, 2, 1) for world in (2, 3))
    Checkpoint(tmp_path, "run", 0, two).save(3, STATE)
    assert Checkpoint(tmp_path, "run", 0, two).load(CPU) is not None and capsys.readouterr().err == ""
    for other in (three, None):
        assert Checkpoint(tmp_path, "run", 0, other).load(CPU) is None
        assert "begins anew" in capsys.readouterr().err


def test_a_finished_run_leaves_nothing(tmp_path):
    assert kept_number(tmp_path, "run", lambda: 0.25) == 0.25
    for share in (None, ClassShare(0, 2, 0, 1, 1), ClassShare(1, 2, 1, 2, 1)):
        Checkpoint(tmp_path, "run", 0, share).save(1, STATE)
    Checkpoint(tmp_path, "run", 0).clear()
    assert not list(tmp_path.iterdir())


def test_a_number_is_measured_once_unless_the_run_begins_anew(tmp_path):
    def fail() -> float:
        pytest.fail("measured before")

    assert kept_number(tmp_path, "run", lambda: 0.1) == 0.1
    assert kept_number(tmp_path, "run", fail) == 0.1
    assert kept_number(tmp_path, "run", lambda: 0.2, resume=False) == 0.2
