"""A tracker that fails is told of once, ends no run, and costs a time that is known."""

from __future__ import annotations

import pytest

from csdm_cli.tracking.guard import Guard, first_line


def test_a_failure_is_one_warning_and_no_more_calls(aloud, capsys):
    guard, calls = Guard(), []

    def fail(word: str) -> None:
        calls.append(word)
        raise OSError("the disk is gone\nand more")

    assert guard.guarded(lambda value, *, twice: 2 * value if twice else value, 3, twice=True) == 6
    for word in ("first", "second"):
        assert guard.guarded(fail, word) is None
    assert calls == ["first"] and not guard.working
    warning = capsys.readouterr().err
    assert warning.count("warning") == 1 and "(the disk is gone)" in warning and "and more" not in warning


def test_an_interrupt_is_no_failure_of_the_tracker():
    guard = Guard()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guard.guarded(interrupt)
    assert guard.working


def test_the_time_of_every_block_is_added(monkeypatch):
    ticks = iter([10.0, 12.5, 20.0, 20.25])
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
    guard = Guard()
    with guard.timed():
        pass
    with pytest.raises(ZeroDivisionError), guard.timed():
        raise ZeroDivisionError
    assert guard.overhead_seconds == 2.75


def test_the_first_line_of_an_error_is_its_own():
    assert first_line(ValueError("\n(raised as a result of x)\nno such table\nmore")) == "no such table"
    assert first_line(KeyError()) == "KeyError"
    assert first_line(OSError(28, "No space left on device")) == "No space left on device"
    assert first_line(PermissionError(13, "Permission denied", "runs/x")) == "runs/x: Permission denied"
