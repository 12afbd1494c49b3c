"""Killed at any moment and run again, a command loses nothing and gives the same bytes."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from csdm_cli.data.store import MANIFEST_FILE
from tests.command_world import COMMANDS, FEW_STEPS, LEARNING_PARAMS, contents, litter, run
from tests.commands.processes import Moment, csdm_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked and watched the Linux way")

MOMENTS = {
    "make-lt": [Moment("write", 0), Moment("write", 2), Moment("write", 3)],
    "pretrain": [Moment("step", 3), Moment("write", 0), Moment("step", 5), Moment("write", 1), Moment("write", 2)],
    "distill": [Moment("step", 2), Moment("write", 5), Moment("step", 5), Moment("write", 1), Moment("write", 3)],
    "evaluate": [Moment("step", 2), Moment("write", 1), Moment("step", 9), Moment("write", 4), Moment("write", 7)],
}
# While the images move, and among the outputs; of lad an expert and a classifier come first.
LEARNING_MOMENTS = {
    "dc": [Moment("step", 1), Moment("write", 1), Moment("write", 4)],
    "lad": [Moment("step", 3), Moment("write", 2), Moment("write", 4), Moment("write", 3)],
}
RESULT = {"make-lt": "out/data", "pretrain": "out/teachers", "distill": "out/set", "evaluate": "out/evaluation"}


def words(command: str) -> list[str]:
    return [*COMMANDS[command], "--params", "params.yaml"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("command", MOMENTS)
def test_killed_again_and_again_and_then_finished(world, workplace, tmp_path, command, number):
    cache = tmp_path / "cache"
    whole = contents(world.folder / RESULT[command])
    assert kill_at(MOMENTS[command], words(command), workplace, cache, number, whole) >= 2
    run(*COMMANDS[command])
    assert contents(workplace / RESULT[command]) == whole
    assert not litter(workplace) and not litter(cache)


@pytest.mark.parametrize("method", FEW_STEPS)
def test_killed_while_networks_learn_from_the_images(workplace, tmp_path, method):
    """A network between two steps, experts, labels and a step size that are learned: all go on from where they were."""
    (workplace / "learning.yaml").write_text(LEARNING_PARAMS)
    own = ["distill", "data", "--method", method, *FEW_STEPS[method], "--checkpoint-every", "0"]
    own += ["--out", "out/set", "--params", "learning.yaml"]
    assert csdm_until(own, workplace, tmp_path / "other", None, signal.SIGKILL).code == 0
    whole = contents(workplace / "out/set")
    (workplace / "out").rename(workplace / "whole")
    cache, moments = tmp_path / "cache", LEARNING_MOMENTS[method]
    assert kill_at(moments, own, workplace, cache, signal.SIGKILL, whole) == len(moments)
    assert csdm_until(own, workplace, cache, None, signal.SIGKILL).code == 0
    assert contents(workplace / "out/set") == whole
    assert not litter(workplace) and not litter(cache)


def kill_at(
    moments: list[Moment],
    words: list[str],
    workplace: Path,
    cache: Path,
    number: signal.Signals,
    whole: dict[str, bytes],
) -> int:
    """Kill a command at each of these moments in turn, until it ends before one of them: how often it was killed.

    Its finished outputs are those of the ``whole`` result all along.
    """
    for kills, moment in enumerate(moments):
        ended = csdm_until(words, workplace, cache, moment, number)
        assert "Traceback" not in ended.stderr, ended.stderr
        if ended.code == 0:
            return kills  # what was left of the work did not reach the moment
        assert ended.code == (-9 if number is signal.SIGKILL else 143), ended.stderr
        for name, data in contents(workplace / "out").items():
            if not name.endswith(".tmp") and ".tmp/" not in name:
                assert whole[name.partition("/")[2]] == data, f"{name} is a partial output"
    return len(moments)


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


@pytest.mark.parametrize("command", ["evaluate", "cross-arch"])
def test_a_signal_while_students_learn_says_where_the_command_goes_on(workplace, tmp_path, command):
    ended = csdm_until(words(command), workplace, tmp_path / "cache", Moment("step", 1), signal.SIGTERM)
    said = "stopped: what is finished is kept, and the same command goes on from there"
    assert ended.code == 143 and ended.stderr.splitlines()[-1] == said


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
