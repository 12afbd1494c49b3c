"""Killed at random and at aimed moments, again and again, and then let finish: equal bytes, nothing half-made."""

from __future__ import annotations

import random
import signal
import sys

import pytest

from tests.command_world import litter
from tests.commands.processes import Moment, csdm_until
from tests.hardship.campaign import seeds, turn
from tests.hardship.commands import ALL, ENDINGS, told_in_one_line

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked and watched the Linux way")

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
MOST_KILLS = 3


def moment(chance: random.Random) -> Moment:
    """At a file, at a step of a loop, or at any hundredth of the first two seconds."""
    kind = chance.choice(("write", "step", "time"))
    return Moment(kind, chance.randrange({"write": 9, "step": 12, "time": 200}[kind]))


@pytest.mark.parametrize("seed", seeds(85, 2))
def test_killed_and_run_again(tried, there, tmp_path, seed):
    command, chance, cache = turn(seed, ALL), random.Random(seed), tmp_path / "cache"
    for _ in range(chance.randint(1, MOST_KILLS)):
        ended = csdm_until(ALL[command], there, cache, moment(chance), chance.choice(SIGNALS))
        assert ended.code in ENDINGS - {1, 2}, ended
        told_in_one_line(ended.code, ended.stderr)
        tried.is_not_half_made(there)
        if ended.code == 0:
            break
    if ended.code:
        ended = csdm_until(ALL[command], there, cache, None, signal.SIGKILL)
        # what is not a file or folder of its own is never replaced, by a rerun neither
        assert ended.code == 0 or "exists" in ended.stderr, ended.stderr
        told_in_one_line(ended.code, ended.stderr)
    tried.is_equal(there)
    assert not litter(there) and not litter(cache)


@pytest.mark.parametrize("seed", seeds(10, 0))
def test_killed_while_the_first_run_is_tracked(tried, there, tmp_path, seed):
    """MLflow's store is made at that time."""
    chance, cache = random.Random(seed), tmp_path / "cache"
    tracked = {"CSDM_TRACKING": "mlflow", "MLFLOW_TRACKING_URI": f"sqlite:///{there}/mlflow.db"}
    if seed % 10:
        when, number = Moment("time", chance.randrange(100, 1200)), chance.choice(SIGNALS)
        ended = csdm_until(ALL["make-lt"], there, cache, when, number, tracked)
        assert ended.code in ENDINGS - {1, 2}, ended
        told_in_one_line(ended.code, ended.stderr)
        tried.is_not_half_made(there)
    ended = csdm_until(ALL["make-lt"], there, cache, None, signal.SIGKILL, tracked)
    assert ended.code == 0, ended.stderr
    tried.is_equal(there)
    assert (there / "mlflow.db").is_file()
