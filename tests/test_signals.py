"""Ctrl-C: at once where nothing was begun, through ``finally`` where something was; the exit code is 130."""

from __future__ import annotations

import subprocess
import sys

import pytest

from csdm_cli.signals import INTERRUPTED

SCRIPT = """
import os, signal, sys
from csdm_cli.signals import interruptible, stops_at_once, was_interrupted
press = lambda: os.kill(os.getpid(), signal.SIGINT)
{before}
with stops_at_once():
{body}
print("after")
"""
CASES = {
    # while importing: nothing after the press is reached, not even what would clean up
    "at once": ("", "    try:\n        press()\n    finally:\n        print('cleaned')", INTERRUPTED, ""),
    # within: Python's own exception, noted
    "within": (
        "",
        "    try:\n        with interruptible():\n            press()\n"
        "    except KeyboardInterrupt:\n        print('cleaned', was_interrupted())",
        0,
        "cleaned True\nafter\n",
    ),
    "after": ("", "    with interruptible():\n        print('done')\n    press()", INTERRUPTED, "done\n"),
    # a job in the background ignores it
    "ignored": (
        "signal.signal(signal.SIGINT, signal.SIG_IGN)",
        "    press(); print(was_interrupted())",
        0,
        "False\nafter\n",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_ctrl_c(case):
    before, body, code, said = CASES[case]
    words = [sys.executable, "-c", SCRIPT.format(before=before, body=body)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (code, said), done.stderr
    assert (done.stderr == "interrupted\n") == (code == INTERRUPTED)
