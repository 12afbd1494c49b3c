"""Several processes at once: the same command in the same place, or the first use of caches and of MLflow's store."""

from __future__ import annotations

import random
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.command_world import litter
from tests.commands.processes import PATIENCE, run_in_place
from tests.hardship.campaign import seeds, turn
from tests.hardship.commands import ALL, told_in_one_line
from tests.warm import start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked the Linux way")

NOT_REPLACED = ("import", "merge", "export imagefolder", "export huggingface", "export csdm")


def together(there: Path, cache: Path, calls: list[list[str]], chance: random.Random, **environment: str) -> list[str]:
    """Run ``calls`` at once; what those that ended well said."""
    with tempfile.TemporaryDirectory() as logs:
        places = [Path(logs, str(number)) for number in range(len(calls))]
        running = []
        for words, log in zip(calls, places, strict=True):
            running.append(start(run_in_place, words, there, cache, None, 0, log, environment))
            time.sleep(chance.choice((0, 0, 0.02, 0.2)))
        for process in running:
            process.join(PATIENCE)
        codes, texts = [process.exitcode for process in running], [log.read_text() for log in places]
    assert set(codes) <= {0, 1, 2}, (codes, texts)
    for code, text in zip(codes, texts, strict=True):
        told_in_one_line(code, text)
    return [text for code, text in zip(codes, texts, strict=True) if code == 0]


@pytest.mark.parametrize("seed", seeds(50, 1))
def test_the_same_command_at_once(tried, there, tmp_path, seed):
    command, chance = turn(seed, ALL), random.Random(seed)
    well = together(there, tmp_path / "cache", [ALL[command]] * chance.randint(2, 3), chance)
    assert len(well) >= 1 and (command in NOT_REPLACED or len(well) >= 2), well
    tried.is_equal(there)
    assert not litter(there) and not litter(tmp_path / "cache")


@pytest.mark.parametrize("seed", seeds(8, 0))
def test_different_commands_at_once(tried, there, tmp_path, seed):
    chance = random.Random(seed)
    calls = [ALL[name] for name in chance.sample(sorted(ALL), 4)]
    assert len(together(there, tmp_path / "cache", calls, chance)) == 4
    tried.is_equal(there)
    assert not litter(there) and not litter(tmp_path / "cache")


@pytest.mark.parametrize("seed", seeds(3, 0))
def test_the_first_runs_that_are_tracked(tried, there, tmp_path, seed):
    """All are recorded, in one store."""
    chance = random.Random(seed)
    calls = [ALL["make-lt"], ALL["distill"], ALL["evaluate"]]
    tracked = {"CSDM_TRACKING": "mlflow", "MLFLOW_TRACKING_URI": f"sqlite:///{there}/mlflow.db"}
    assert len(together(there, tmp_path / "cache", calls, chance, **tracked)) == 3
    tried.is_equal(there)
    with closing(sqlite3.connect(there / "mlflow.db")) as store:
        ended = [status for (status,) in store.execute("SELECT status FROM runs")]
    assert len(ended) >= 3 and set(ended) == {"FINISHED"}
