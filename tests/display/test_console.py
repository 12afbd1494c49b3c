import contextlib
import io
import json
import math
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from rich.table import Table

from csdm_cli.display import console

pytestmark = pytest.mark.usefixtures("aloud")


class Clock:
    """A clock that moves only when told to."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(console, "time", clock)
    return clock


class Counted:
    """A loss that counts how often it is read."""

    reads = 0

    def __float__(self):
        self.reads += 1
        return 0.25


def test_off_a_terminal_a_line_every_ten_seconds_and_one_at_the_end(capsys, clock):
    loss = Counted()
    with console.progress("distil", 100) as task:
        for step in range(1, 101):
            clock.now += 0.25
            task.update(step, loss=loss)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "distil: 40/100  40%  loss 0.25  4 it/s  0:00:15 left",
        "distil: 80/100  80%  loss 0.25  4 it/s  0:00:05 left",
        "distil: 100/100 in 0:00:25, 4 it/s",
    ]
    assert loss.reads == 2  # a value on a device is fetched only to be shown


def test_a_resumed_run_counts_only_its_own_steps(capsys, clock):
    with console.progress("distil", 100, start=90) as task:
        clock.now += 20
        task.update(95)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "distil: goes on from step 90 of 100",
        "distil: 95/100  95%  4 s/it  0:00:20 left",
        "distil: 95/100 in 0:00:20, 4 s/it",
    ]


def test_a_long_loop_says_so_after_its_first_steps(capsys, clock):
    with console.progress("distil", 1000, advice="do less") as task:
        for step in range(1, 5):
            clock.now += 100 if step == 1 else 4  # the first step warms up
            task.update(step)
    said = [line for line in capsys.readouterr().err.splitlines() if "about" in line]
    assert said == ["distil: about 66 minutes for the 997 steps left, by the first ones; do less"]


def test_a_short_loop_says_nothing_of_it(capsys, clock):
    with console.progress("distil", 100, advice="do less") as task:
        for step in range(1, 5):
            clock.now += 4
            task.update(step)
    assert "do less" not in capsys.readouterr().err


def test_the_time_inside_updates_is_summed(clock):
    class Slow:
        def __float__(self):
            clock.now += 3.0
            return 0.0

    with console.progress("distil", 2) as task:
        clock.now += 11
        task.update(1, loss=Slow())
        clock.now += 1
        task.update(2, loss=Slow())
    assert task.overhead_seconds == 3.0


def test_quiet_and_inner_progress_say_nothing(capsys, clock):
    with console.progress("outer", 1, quiet=True) as task:
        clock.now += 60
        task.update(1)
    assert capsys.readouterr().err == ""
    with console.progress("outer", 1), console.progress("inner", 1) as inner:
        clock.now += 60
        inner.update(1)
    assert "inner" not in capsys.readouterr().err


def test_nothing_done_is_no_division_by_zero(capsys, clock):
    with console.progress("distil", 0):
        pass
    assert capsys.readouterr().err == "distil: 0/0 in 0:00:00\n"


def read_all(master):
    """The bytes that a terminal was sent until it was closed."""
    content = b""
    with contextlib.suppress(OSError):
        while part := os.read(master, 4096):
            content += part
    os.close(master)
    return content.decode()


def test_on_a_terminal_a_bar_with_loss_speed_and_time_left(monkeypatch, capsys):
    master, slave = os.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with ThreadPoolExecutor(1) as reader, os.fdopen(slave, "w") as terminal:
        shown = reader.submit(read_all, master)
        monkeypatch.setattr("sys.stderr", terminal)
        with console.progress("distil", 4) as task:
            task.update(1, loss=0.5)
            console.note("a word in between")
        monkeypatch.undo()
        terminal.close()
        text = shown.result()
    for fragment in ("distil", "━", "1/4", "loss 0.5", "it/s", "left", "a word in between"):
        assert fragment in text
    assert capsys.readouterr().out == ""


def test_json_is_one_object_without_nan(capsys):
    value = {"accuracy": 0.5, "spread": math.nan, "classes": [math.inf, 1], "nested": {"a": (1, 2)}}
    console.emit(value, lambda: pytest.fail("rendered"), as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"accuracy": 0.5, "spread": None, "classes": [None, 1], "nested": {"a": [1, 2]}}


def test_a_wide_table_in_a_pipe_loses_nothing(monkeypatch):
    monkeypatch.delenv("COLUMNS")
    pipe = io.StringIO()
    monkeypatch.setattr("sys.stdout", pipe)
    table = Table(*[f"column-{number}" for number in range(10)])
    table.add_row(*[f"value-{number}-{'x' * 3}" for number in range(10)])
    console.emit({}, lambda: [table], as_json=False)
    assert all(f"value-{number}-xxx" in pipe.getvalue() for number in range(10))


def test_notes_go_to_stderr(capsys):
    console.note("seen")
    console.note("not seen", quiet=True)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "seen\n")
