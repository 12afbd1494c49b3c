"""Two commands that make the same distilled set: one makes it, the other waits and takes it."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from csdm_cli.runs import turns
from csdm_cli.runs.turns import remember, told, turn
from csdm_cli.storage import kinds
from tests.command_world import contents, run, workplace, world  # noqa: F401  # the fixtures of the commands
from tests.warm import start

WORDS = ["distill", "data", "--teachers", "teachers", "--params", "params.yaml"]


def test_who_comes_second_waits_and_is_told(tmp_path, monkeypatch):
    target, other = tmp_path / "set" / "distilled.safetensors", tmp_path / "other" / "distilled.safetensors"
    waits, order = threading.Event(), []
    monkeypatch.setattr(turns, "note", lambda text, **_: waits.set())

    def second(key: str, place: Path) -> None:
        with turn(key, place) as waited:
            order.append((key, waited))

    for key, place in (("same", other), ("another", target)):  # the same run, or the same folder
        waits.clear()
        with turn("same", target) as waited:
            assert not waited
            thread = threading.Thread(target=second, args=(key, place))
            thread.start()
            assert waits.wait(60)
            order.append("first")
        thread.join()
    assert order == ["first", ("same", True), "first", ("another", True)]
    with turn("same", target), turn("another", other) as waited:
        assert not waited


def test_word_of_where_a_set_is(tmp_path):
    assert told("key") is None
    remember("key", tmp_path / "ü" / "set")
    assert told("key") == tmp_path / "ü" / "set"


def _distil(folder: Path, cache: Path, out: str, log: str) -> None:
    os.chdir(folder)
    os.environ |= {"CSDM_CACHE": str(cache), "CSDM_TRACKING": "none", "OMP_NUM_THREADS": "1"}
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    from csdm_cli.cli.app import main

    sys.argv = ["csdm", *WORDS, "--out", out]
    main()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked from a server")
@pytest.mark.parametrize("second", ["one", "two"])
def test_processes_that_want_the_same_set_make_it_once(world, workplace, tmp_path, second):  # noqa: F811
    """Into one folder or into two: the same bytes, and one of them does the iterations."""
    outs = ["one", second]
    started = [start(_distil, workplace, tmp_path / "cache", out, f"{number}.log") for number, out in enumerate(outs)]
    for process in started:
        process.join(120)
        assert process.exitcode == 0
    for out in set(outs):
        assert contents(workplace / out) == contents(world.folder / "out/set")
        assert kinds.RUN_RECORD.wrote(workplace / out / "distilled.run.json")
    logs = [Path(f"{number}.log").read_text() for number in range(2)]
    assert sum("already holds this run" not in log for log in logs) >= 1
    if second == "one" or any("waiting for it" in log for log in logs):  # else one was done before the other began
        assert sum("already holds this run" in log for log in logs) == 1
    assert run(*WORDS, "--out", "one").stderr.count("already holds this run") == 1
