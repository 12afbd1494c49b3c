"""One tiny world for all commands: a long-tailed set, a pool of teachers, and every command run once upon them."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from csdm_cli.cli.app import app
from csdm_cli.storage import atomic
from tests.made_once import made_once

PARAMS = """
make_lt: {dataset: digits, size: 16, imbalance: 6, n_max: 12, dev: 2}
pretrain: {width: 4, depth: 2, teachers: 2, epochs: 2, batch: 16, augment: crop_scale}
distill: {ipc: 2, frequencies: 16, iterations: 4, draws: 2, augment: crop_scale}
evaluate: {students: 2, steps: 4, full_steps: 4, batch: 32, test_points: 2, augment: crop_scale}
cross_arch: {networks: [convnet, alexnet], students: 1, steps: 2}
profile: {ipcs: [1, 2], iterations: 2, warmup: 1}
"""
# In place of PARAMS for methods that follow experts, or whose networks learn meanwhile.
LEARNING_PARAMS = """
pretrain: {width: 4, depth: 2, experts: 2, expert_snapshots: 3, snapshot_every: 2, expert_batch: 16,
  classifier_snapshots: 2, augment: crop_scale}
distill: {ipc: 2, iterations: 4, real_batch: 4, augment: crop_scale}
"""
# Their options, by which their networks take few steps.
FEW_STEPS = {
    "dc": ["--option", "inner=2", "--option", "outer=2"],
    "lad": ["--option", "student_steps=2", "--option", "classifier_steps=2", "--option", "latest=2"],
}
# What each command is called with in a folder of its own; all leave their results in out/.
COMMANDS = {
    "make-lt": ["make-lt", "--out", "out/data"],
    "pretrain": ["pretrain", "data", "--out", "out/teachers"],
    "distill": ["distill", "data", "--teachers", "teachers", "--out", "out/set", "--checkpoint-every", "0"],
    "evaluate": ["evaluate", "set", "--data", "data", "--out", "out/evaluation"],
    "cross-arch": ["cross-arch", "set", "--data", "data", "--out", "out/others"],
}


@dataclass(frozen=True)
class World:
    """Results of the commands that come before the one under test; never written to."""

    folder: Path

    def copy_to(self, place: Path) -> None:
        """Give ``place`` inputs of its own: params.yaml, data, teachers and set."""
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.folder / "params.yaml", place)
        for name, made in (("data", "data"), ("teachers", "teachers"), ("set", "set")):
            if (self.folder / "out" / made).exists():
                shutil.copytree(self.folder / "out" / made, place / name)


def run(*arguments: object, expect: int | None = 0):
    """``csdm ARGUMENTS`` in this process, under the world's params.yaml where a command reads one."""
    words = [str(argument) for argument in arguments]
    if words[0] in (*COMMANDS, "profile") and "--params" not in words:
        words += ["--params", "params.yaml"]
    result = CliRunner().invoke(app, words)
    if expect is not None:
        assert result.exit_code == expect, f"{result.output}\n{result.exception!r}"
    return result


def fails(result, code: int, *fragments: str) -> None:
    """One clear line on stderr, the right exit code, nothing on stdout, no traceback."""
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == code and result.stdout == "", result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in result.stderr, result.stderr
    for fragment in fragments:
        assert fragment in result.stderr, result.stderr


def names(result, code: int, *words: str) -> None:
    """Fails with ``code`` in a line that has each of ``words`` by itself, not as a part of a longer one."""
    fails(result, code)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    for word in words:
        assert re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-]|\.\w)", line), f"{word!r} is not in: {line}"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` but the records of time and machine."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if not name.endswith(".run.json")}


def litter(folder: Path) -> list[str]:
    """The remains of unfinished runs below ``folder``."""
    endings = (".tmp", ".old", ".partial")
    left = [path for path in folder.rglob("*") if path.suffix in endings or path.parent.name == "checkpoints"]
    return sorted(path.relative_to(folder).as_posix() for path in left)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Every command has run here once, uninterrupted."""
    return World(made_once(tmp_path_factory, "world", _make_world))


def _make_world(folder: Path) -> None:
    (folder / "params.yaml").write_text(PARAMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("CSDM_CACHE", str(folder / "cache"))
        patch.setenv("CSDM_TRACKING", "none")
        for name, arguments in COMMANDS.items():
            run(*arguments)
            for made in ("data", "teachers", "set"):
                if (folder / "out" / made).exists() and not Path(made).exists():
                    Path(made).symlink_to(Path("out") / made)
            assert not litter(folder), name


@pytest.fixture
def workplace(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a test, with inputs of its own and an empty cache."""
    place = tmp_path / "work"
    world.copy_to(place)
    monkeypatch.chdir(place)
    return place


@contextmanager
def break_writes(first: int) -> Iterator[None]:
    """Within the block the disk is full from the ``first``-th file on (from 0)."""
    real, files = atomic.os.fsync, []

    def fsync(handle: int) -> None:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            files.append(handle)
        if len(files) > first:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic.os, "fsync", fsync)
        yield
