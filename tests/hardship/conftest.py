"""The glue between pytest and the records, and the world in which everything is tried."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.command_world import World, run
from tests.hardship import campaign
from tests.hardship.commands import ALL, Tried, results
from tests.made_once import made_once

LONGEST = 900  # seconds of one trial, on however busy a machine; what takes longer hangs


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A campaign that goes on leaves out what it has seen."""
    if log := os.environ.get(campaign.VARIABLE):
        seen = {record.trial for record in campaign.records(Path(log))}
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in seen])
        items[:] = [item for item in items if item.nodeid not in seen]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record a trial as it ends; of several processes only the first has this called for all."""
    log, here = os.environ.get(campaign.VARIABLE), Path(report.nodeid.partition("::")[0])
    if not log or "PYTEST_XDIST_WORKER" in os.environ or here.parent.name != "hardship":
        return
    if report.when == "call" and not report.skipped:
        cases = int(dict(report.user_properties).get("cases", 1))
        kind = here.stem.removeprefix("test_")
        campaign.append(Path(log), campaign.Record(kind, report.nodeid, cases, report.passed, report.duration))


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """A trial that hangs is a wrong one."""

    def too_long(number: int, frame: object) -> None:
        raise AssertionError(f"longer than {LONGEST} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LONGEST)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def tried(world, tmp_path_factory) -> Tried:
    """Inputs for all commands, in a place never written to again, and in out/ what each leaves there."""
    place = made_once(tmp_path_factory, "tried", partial(_try_all, world))
    return Tried(place, results(place / "out"))


def _try_all(world: World, place: Path) -> None:
    world.copy_to(place)
    shutil.copytree(world.folder / "out" / "evaluation", place / "evaluation")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("CSDM_CACHE", str(place / "cache"))
        patch.setenv("CSDM_TRACKING", "none")
        run("export", "set", "--to", "csdm", "--classes", "0,1,2,3,4", "--out", "first")
        run("export", "set", "--to", "csdm", "--classes", "5,6,7,8,9", "--out", "second")
        run("export", "set", "--to", "npz", "--out", "foreign.npz")
        for words in ALL.values():
            run(*words)


@pytest.fixture
def there(tried: Tried, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a trial, with inputs of its own and an empty cache."""
    place = tmp_path / "work"
    tried.copy_to(place)
    monkeypatch.chdir(place)
    return place
