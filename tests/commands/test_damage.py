"""Damage of a cache heals itself: the next run notices, says so, and ends with the very same bytes.

Files that are forged with the right hashes end in the same bytes, or are dropped with one line and made anew.
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
import torch

from csdm_cli.errors import CsdmError
from csdm_cli.runs import optimise
from csdm_cli.storage import seal, tensorfile
from csdm_cli.teachers.pool import TeacherPool
from tests.command_world import COMMANDS, contents, fails, run

CACHED = {
    "pretrain": ("teachers/*/teacher-00.safetensors", "out/teachers"),
    "distill": ("bank/*/view-*.safetensors", "out/set"),
    "evaluate": ("evaluations/*/student-0.json", "out/evaluation"),
}
HEADER_BYTES = 600  # in which most flips are put: the part that no tensor's hash covers


@pytest.fixture
def cache(world, workplace, tmp_path):
    """The world's cache, in a copy that a test may harm."""
    shutil.copytree(world.folder / "cache", tmp_path / "cache")
    return tmp_path / "cache"


def flip(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    place = chance.randrange(min(len(data), HEADER_BYTES)) if chance.random() < 0.8 else chance.randrange(len(data))
    data[place] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("command", CACHED)
def test_flipped_bits_of_what_is_kept(world, workplace, cache, command, seed):
    pattern, made = CACHED[command]
    chance, kept = random.Random(seed), sorted(cache.glob(pattern))
    before = {path: path.read_bytes() for path in kept}
    for path in kept:
        flip(path, chance)
    run(*COMMANDS[command])
    assert contents(workplace / made) == contents(world.folder / made)
    if command != "evaluate":  # students that nobody asked for, those of other commands, stay as they are
        assert {path: path.read_bytes() for path in kept} == before


FORGERIES = {
    "teachers/*/teacher-00.safetensors": (
        "pretrain",
        [{"train_accuracy": "x"}, {"train_accuracy": [2.0]}, {"spec": 3}],
    ),
    "bank/*/view-*.safetensors": ("distill", [{"checksum": "x"}, {"length": None}, {"checksum": 7}]),
}


@pytest.mark.parametrize("pattern", FORGERIES)
def test_forged_headers_with_the_right_hash(world, workplace, cache, pattern):
    command, changes = FORGERIES[pattern]
    made = CACHED[command][1]
    for change in changes:
        for path in cache.glob(pattern):
            tensors, header = tensorfile.load(path)
            tensorfile.save(path, tensors, header | change)
        again(command)
        assert contents(workplace / made) == contents(world.folder / made)
        shutil.rmtree(workplace / "out")


def test_forged_students_with_the_right_hash(world, workplace, cache):
    for runs in (None, [], [{"number": 0, "confusion": [], "curve": []}]):
        for path in cache.glob("evaluations/*/student-0.json"):
            path.write_text(json.dumps(seal.sealed({"runs": runs}, "sha256")))
        again("evaluate")
        assert contents(workplace / "out/evaluation") == contents(world.folder / "out/evaluation")


def again(command: str) -> None:
    """Run it, and once more if it ends with the one line that asks for that."""
    result = run(*COMMANDS[command], expect=None)
    if result.exit_code:
        fails(result, 1, "run the same command again")
        while run(*COMMANDS[command], expect=None).exit_code:
            pass


@pytest.fixture
def checkpoint(workplace, tmp_path, monkeypatch):
    """The checkpoint of a distillation that was stopped after two of its four steps."""
    iterate = optimise.optimise

    def stopped(leaves, method, step, checkpoint, **options):
        def two(number):
            if number == 2:
                raise CsdmError("stopped here")
            return step(number)

        return iterate(leaves, method, two, checkpoint, **options)

    with monkeypatch.context() as patch:
        patch.setattr(optimise, "optimise", stopped)
        fails(run(*COMMANDS["distill"], expect=None), 1, "stopped here")
    (path,) = (tmp_path / "cache" / "checkpoints").iterdir()
    assert tensorfile.read_header(path)["step"] == 2
    return path


def test_flipped_bits_of_a_checkpoint(world, workplace, checkpoint):
    chance, whole = random.Random(0), checkpoint.read_bytes()
    step = whole.index(b'"step\\": 2') + len(b'"step\\": ')
    for number in range(4):
        if number:
            flip(checkpoint, chance)
        else:  # the digit that nothing noticed: 2 becomes 3
            checkpoint.write_bytes(whole[:step] + b"3" + whole[step + 1 :])
        result = run(*COMMANDS["distill"])
        assert "the run begins anew" in result.stderr
        assert contents(workplace / "out/set") == contents(world.folder / "out/set")
        shutil.rmtree(workplace / "out")
        checkpoint.write_bytes(whole)


def test_forged_checkpoints_with_the_right_hash(world, workplace, checkpoint):
    tensors, header = tensorfile.load(checkpoint)
    shifted = {name: torch.zeros(2, 2) for name in tensors}
    forged = [(tensors, {"step": step}) for step in (-5, 10**9, "2", True)] + [({}, {}), (shifted, {})]
    for own, change in forged:
        tensorfile.save(checkpoint, own, header | change)
        again("distill")
        assert contents(workplace / "out/set") == contents(world.folder / "out/set")
        shutil.rmtree(workplace / "out")


@pytest.mark.parametrize("seed", range(3))
def test_flipped_bits_of_a_pool(world, workplace, seed):
    """Bits of its index and its teachers' headers: refused in one line, or the very same set."""
    chance = random.Random(seed)
    for name in ("pool.json", "teacher-00.safetensors", "teacher-01.safetensors"):
        path = Path("teachers", name)
        whole = path.read_bytes()
        flip(path, chance)
        result = run(*COMMANDS["distill"], expect=None)
        if result.exit_code:
            fails(result, 1, "run csdm pretrain again")
        else:
            assert contents(workplace / "out/set") == contents(world.folder / "out/set")
        path.write_bytes(whole)


def test_an_index_that_is_not_the_pools(workplace):
    index = json.loads(Path("teachers/pool.json").read_text())
    others = [None, True, 1, 0, -1, 10**30, 1.5, "x", [], {}, [{}], {"teacher-00.safetensors": 1}]
    for name, value in index.items():
        for other in others:
            if seal.digest(other) != seal.digest(value):
                Path("teachers/pool.json").write_text(json.dumps(index | {name: other}))
                with pytest.raises(CsdmError, match="run csdm pretrain again"):
                    TeacherPool.open(Path("teachers"))
    only = {name: digest for name, digest in index["files"].items() if "00" in name}
    Path("teachers/pool.json").write_text(json.dumps(index | {"teachers": 1, "files": only}))
    fails(run(*COMMANDS["distill"], expect=None), 1, "does not list teacher-01.safetensors", "run csdm pretrain again")
