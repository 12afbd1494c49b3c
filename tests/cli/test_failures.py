"""Failures end a command in one line and an exit code; what may be a fault of ours keeps its traceback."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from csdm_cli.cli.failures import MOST_IN_ERROR, FriendlyGroup
from csdm_cli.errors import MISTAKE, CsdmError, UsageError


def result_of(error: BaseException):
    app = typer.Typer(cls=FriendlyGroup)

    @app.command()
    def fail(ipc: int = 1, out: str = "x") -> None:
        raise error

    @app.command()
    def other() -> None: ...

    return CliRunner().invoke(app, ["fail"])


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (CsdmError("no data"), 1, "error: no data\n"),
        (UsageError("no such thing"), 2, "error: no such thing\n"),
        (OSError(errno.EACCES, "Permission denied", "a/b"), 1, "error: a/b: Permission denied\n"),
        (MemoryError(), 1, "error: out of memory: a smaller --ipc needs less\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
    ids=str,
)
def test_what_a_user_can_act_on_is_one_line(error, code, line):
    result = result_of(error)
    assert (result.exit_code, result.stderr, result.stdout) == (code, line, "")


@pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("shapes"), AssertionError()], ids=repr)
def test_a_fault_of_ours_is_not_put_into_words(error):
    assert result_of(error).exception is error


def test_several_mistakes_have_a_line_each_and_letters_that_are_not_seen_are_escaped():
    assert result_of(CsdmError(MISTAKE.join(["two", "a\nb", "c"]))).stderr == "error: two\n  a\\nb\n  c\n"
    assert len(result_of(CsdmError("x" * 10**5)).stderr) < MOST_IN_ERROR + 20


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (".: the images of train are floats", "this folder: the images of train are floats"),
        (". holds 'notes.txt'", "this folder holds 'notes.txt'"),
        (
            ". has no test set: hold one out, with csdm make-lt .",
            "this folder has no test set: hold one out, with csdm make-lt .",
        ),
        ("there is no set in the folder .: name the file", "there is no set in this folder: name the file"),
        ("a.png is no image file in .", "a.png is no image file in this folder"),
        ("cannot read .: Is a directory", "cannot read this folder: Is a directory"),
        ("./a.png is no image", "./a.png is no image"),
        ("no image in ./a", "no image in ./a"),
        ("it ends in .png, not in .jpg", "it ends in .png, not in .jpg"),
    ],
)
def test_the_working_folder_is_told_in_words(told, said):
    assert result_of(CsdmError(told)).stderr == f"error: {said}\n"


def test_a_terminated_command_leaves_through_finally_with_128_and_the_signal():
    script = (
        "import os, signal\nfrom csdm_cli.cli.failures import end_cleanly_on_signals\nend_cleanly_on_signals()\n"
        "try:\n    os.kill(os.getpid(), signal.{})\nfinally:\n    print('cleaned')\n"
    )
    for number in (signal.SIGTERM, signal.SIGHUP):
        words = [sys.executable, "-c", script.format(number.name)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stdout) == (128 + number, "cleaned\n"), number.name
