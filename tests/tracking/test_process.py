"""Processes that tracked runs belong to."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from csdm_cli.tracking.process import Process


def test_a_process_is_told_by_its_tags():
    here = Process.current()
    assert Process.from_tags(here.tags) == here and not here.has_died()
    assert Process.from_tags({}) is None and Process.from_tags({"csdm.host": "a", "csdm.pid": "7"}) is None


def test_a_process_that_has_ended_is_dead_and_one_of_another_machine_nobody_knows():
    here = Process.current()
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert replace(here, pid=done.pid).has_died()
    assert replace(here, started=here.started + 1).has_died(), "its number is another's now"
    assert replace(here, space="00000000+" + here.space.partition("+")[2]).has_died(), "before this boot"
    assert not replace(here, host="elsewhere", pid=done.pid).has_died()
    assert not replace(here, space="x+another", pid=done.pid).has_died()
