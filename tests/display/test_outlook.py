"""The forecast from the first steps of a loop."""

from __future__ import annotations

import pytest

from csdm_cli.display import outlook
from csdm_cli.display.outlook import Outlook


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(outlook, "_told", [])
    monkeypatch.setattr(outlook.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(outlook, "_threads", lambda: 2)


def remarks(*others, total=10):
    """Remarks on a loop with a step every 6 s, while other processes have computed so many seconds."""
    used = iter(others)
    seen = Outlook("distil", total, others=lambda: next(used))
    return [remark for step in range(1, 6) for remark in seen.after(step, 6.0 * step)]


def test_other_work_is_told_once(two_cores):
    (said,) = remarks(100, 106)
    assert said.startswith("warning: other work takes 1.0 of 2 cores, and 2 threads")
    assert said.endswith("--threads 1")
    assert remarks(100, 106) == []


@pytest.mark.parametrize(("threads", "cores", "others"), [(2, 2, 1), (1, 2, 6), (2, 4, 6), (4, 8, 12)])
def test_work_that_is_not_in_the_way_is_not_told(two_cores, monkeypatch, threads, cores, others):
    monkeypatch.setattr(outlook, "_threads", lambda: threads)
    monkeypatch.setattr(outlook.os, "cpu_count", lambda: cores)
    assert remarks(0, others) == []


def test_the_advice_takes_what_is_left_of_the_cores(two_cores, monkeypatch):
    monkeypatch.setattr(outlook, "_threads", lambda: 8)
    monkeypatch.setattr(outlook.os, "cpu_count", lambda: 8)
    (said,) = remarks(0, 18)
    assert "takes 3.0 of 8 cores" in said and said.endswith("--threads 5")


def test_hours_are_spoken_of_as_hours():
    assert remarks(0, 0, total=6002) == ["distil: about 10.0 hours for the 6,000 steps left, by the first ones"]


def test_processor_time_of_others_is_what_this_process_did_not_use(tmp_path, monkeypatch):
    stat = tmp_path / "stat"
    stat.write_text("cpu  1000 200 300 9999 50 10 5 0 0 0\ncpu0 1 1 1 1\n")
    monkeypatch.setattr(outlook, "STAT", stat)
    monkeypatch.setattr(outlook.time, "process_time", lambda: 4.0)
    assert outlook.other_processes_seconds() == pytest.approx((1000 + 200 + 300 + 10 + 5) / 100 - 4)
    monkeypatch.setattr(outlook, "STAT", tmp_path / "none")
    assert outlook.other_processes_seconds() == 0
