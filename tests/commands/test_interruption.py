"""Killed at any moment and run again, a command loses nothing and gives the same bytes."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from csdm_cli.data.store import MANIFEST_FILE
from tests.command_world import COMMANDS, contents, litter, run
from tests.commands.processes import Moment, csdm_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked and watched the Linux way")

MOMENTS = {
    "make-lt": [Moment("write", 0), Moment("write", 2), Moment("write", 3)],
    "pretrain": [Moment("step", 3), Moment("write", 0), Moment("step", 5), Moment("write", 1), Moment("write", 2)],
    "distill": [Moment("step", 2), Moment("write", 5), Moment("step", 5), Moment("write", 1), Moment("write", 3)],
    "evaluate": [Moment("step", 2), Moment("write", 1), Moment("step", 9), Moment("write", 4), Moment("write", 7)],
}
RESULT = {"make-lt": "out/data", "pretrain": "out/teachers", "distill": "out/set", "evaluate": "out/evaluation"}


def words(command: str) -> list[str]:
    return [*COMMANDS[command], "--params", "params.yaml"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("command", MOMENTS)
def test_killed_again_and_again_and_then_finished(world, workplace, tmp_path, command, number):
    cache = tmp_path / "cache"
    kills = 0
    for moment in MOMENTS[command]:
        ended = csdm_until(words(command), workplace, cache, moment, number)
        assert "Traceback" not in ended.stderr, ended.stderr
        if ended.code == 0:
            break  # what was left of the work did not reach the moment
        assert ended.code == (-9 if number is signal.SIGKILL else 143), ended.stderr
        kills += 1
        whole = contents(world.folder / RESULT[command])
        for name, data in contents(workplace / "out").items():
            if not name.endswith(".tmp") and ".tmp/" not in name:
                assert whole[name.partition("/")[2]] == data, f"{name} is a partial output"
    assert kills >= 2
    run(*COMMANDS[command])
    assert contents(workplace / RESULT[command]) == contents(world.folder / RESULT[command])
    assert not litter(workplace) and not litter(cache)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_keeps_the_checkpoint(world, workplace, tmp_path, number, code):
    """With checkpoints an hour apart: it is written because of the signal, and the next run goes on from it."""
    cache = tmp_path / "cache"
    hourly = [*words("distill")[:-4], "--checkpoint-every", "3600", "--params", "params.yaml"]
    ended = csdm_until(hourly, workplace, cache, Moment("step", 6), number)  # four steps of the bank come first
    assert ended.code == code and "stopped after 3 of 4 iterations" in ended.stderr
    assert len(list((cache / "checkpoints").iterdir())) == 1
    assert not (workplace / "out").exists()
    again = csdm_until(hourly, workplace, cache, None, signal.SIGTERM)
    assert again.code == 0 and "distil: 4/4" in again.stderr
    assert contents(workplace / "out/set") == contents(world.folder / "out/set")
    assert not list((cache / "checkpoints").iterdir())


def test_a_folder_being_replaced_is_never_lost(world, workplace, tmp_path):
    """Killed at every write of a second, different make-lt: one of the two sets is always whole."""
    run(*COMMANDS["make-lt"])
    old = contents(workplace / "out/data")
    other = [*words("make-lt"), "--seed", "1"]
    for number in range(4):
        assert csdm_until(other, workplace, tmp_path / "cache", Moment("write", number), signal.SIGKILL).code == -9
        assert contents(workplace / "out/data") == old
    assert csdm_until(other, workplace, tmp_path / "cache", None, signal.SIGKILL).code == 0
    new = contents(workplace / "out/data")
    assert new.keys() == old.keys() and new[MANIFEST_FILE] != old[MANIFEST_FILE]
    assert not litter(workplace)


def test_a_damaged_checkpoint_is_said_so_and_the_run_begins_anew(world, workplace, tmp_path):
    cache = tmp_path / "cache"
    csdm_until(words("distill"), workplace, cache, Moment("step", 6), signal.SIGTERM)
    (checkpoint,) = (cache / "checkpoints").iterdir()
    data = bytearray(checkpoint.read_bytes())
    data[-1] ^= 1
    checkpoint.write_bytes(data)
    result = run(*COMMANDS["distill"], "--quiet")
    (line,) = result.stderr.splitlines()
    assert line.startswith("warning: ") and str(checkpoint) in line and "begins anew" in line
    assert contents(workplace / "out/set") == contents(world.folder / "out/set")


def test_no_resume_begins_anew(world, workplace, tmp_path):
    csdm_until(words("distill"), workplace, tmp_path / "cache", Moment("step", 6), signal.SIGTERM)
    run(*COMMANDS["distill"], "--no-resume")
    assert contents(workplace / "out/set") == contents(world.folder / "out/set")
    assert not list(Path(tmp_path / "cache" / "checkpoints").iterdir())
