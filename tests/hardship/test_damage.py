"""Bytes that are not those that were written: refused in one line, or healed to equal bytes; never another result."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from csdm_cli.storage import seal
from tests.command_world import run
from tests.hardship.campaign import seeds, turn
from tests.hardship.commands import ALL, told_in_one_line

# The file that is harmed, and a command that reads it. Nothing that has a hash may give another result.
SEALED = {
    "manifest": ("data/manifest.json", "pretrain"),
    "training images": ("data/train.safetensors", "pretrain"),
    "test images": ("data/test.safetensors", "evaluate"),
    "index of a pool": ("teachers/pool.json", "distill"),
    "teacher": ("teachers/teacher-00.safetensors", "distill"),
    "distilled set": ("set/distilled.safetensors", "evaluate"),
    "set that is exported": ("set/distilled.safetensors", "export npz"),
    "set that is shown": ("set/distilled.safetensors", "show"),
    "set that is joined": ("first/distilled.safetensors", "merge"),
    "kept teacher": ("cache/teachers/*/teacher-*.safetensors", "pretrain"),
    "kept statistics": ("cache/bank/*/view-*.safetensors", "distill"),
    "kept student": ("cache/evaluations/*/student-*.json", "evaluate"),
    "word of a made set": ("cache/locks/*.made", "distill"),
    "another tool's archive": ("foreign.npz", "import"),
}
# People write and change these: another text may well mean another result, but never a traceback.
OPEN = {
    "settings": ("params.yaml", "distill"),
    "scores": ("evaluation/metrics.json", "report --html"),
    "summary": ("evaluation/summary.json", "report"),
    "record of a run": ("evaluation/*.run.json", "report --html"),
    "record of a distillation": ("set/*.run.json", "show"),
    "scores for the ledger": ("evaluation/metrics.json", "ledger add"),
}
VALUES = (None, True, -1, 0, 10**30, 1e308, 0.5, "", "x", "\x1b[31m[/]x", [], {}, [[]], {"a": None})


def flip(data: bytes, chance: random.Random) -> bytes:
    """One bit, mostly among the first bytes, where headers are."""
    place = chance.randrange(min(len(data), 800)) if chance.random() < 0.6 else chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.choice((0, 1, 7, 8, len(data) // 2, len(data) - 1, chance.randrange(len(data))))]


def blank(data: bytes, chance: random.Random) -> bytes:
    """A block of zeros, as a disk leaves it that lost its power."""
    start = chance.randrange(len(data))
    return data[:start] + b"\0" * len(data[start : start + 512]) + data[start + 512 :]


def longer(data: bytes, chance: random.Random) -> bytes:
    return data + chance.choice((b"\0", b"\n", b"x", data))


def noise(data: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(chance.choice((1, 100, len(data))))


def deep(data: bytes, chance: random.Random) -> bytes:
    return chance.choice((b"[", b'{"a":')) * 100_000


def forged(data: bytes, chance: random.Random) -> bytes:
    """Some value of JSON exchanged for one of another kind, under a hash that fits where there is one."""
    try:
        value = json.loads(data)
    except ValueError:
        return flip(data, chance)
    owner = value
    while isinstance(owner, dict) and owner:
        name = chance.choice(sorted(owner))
        if isinstance(owner[name], dict) and owner[name] and chance.random() < 0.7:
            owner = owner[name]
            continue
        owner[name] = chance.choice(VALUES)
        break
    for key in ("sha256", "body_sha256"):
        if isinstance(value, dict) and isinstance(value.get(key), str) and chance.random() < 0.8:
            value = seal.sealed(value, key)
    return json.dumps(value).encode()


HARMS = (flip, flip, flip, cut, blank, longer, noise, deep, forged, forged)


def harm(pattern: str, chance: random.Random) -> None:
    """One of the files, or all of them, in one way."""
    found = sorted(Path().glob(pattern))
    assert found, pattern
    how = chance.choice(HARMS)
    for path in found if chance.random() < 0.5 else [chance.choice(found)]:
        path.write_bytes(how(path.read_bytes(), chance))


@pytest.mark.parametrize("seed", seeds(200, 3))
def test_what_has_a_hash(tried, there, tmp_path, monkeypatch, seed):
    pattern, command = SEALED[turn(seed, SEALED)]
    chance = random.Random(seed)
    monkeypatch.setenv("CSDM_CACHE", str(there / "cache"))
    if "cache" in pattern:
        shutil.copytree(tried.folder / "cache", there / "cache")
    harm(pattern, chance)
    before = {path: path.read_bytes() for path in there.glob(pattern)}
    for _ in range(3):  # a kept file may ask for the same command again
        result = run(*ALL[command], expect=None)
        assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
        told_in_one_line(result.exit_code, result.stderr, result.stdout)
        if result.exit_code == 0:
            tried.is_equal(there)
        if result.exit_code == 0 or "again" not in result.stderr or "cache" not in pattern:
            break
    if "cache" in pattern:
        assert result.exit_code == 0, f"does not heal: {result.stderr}"
    else:
        assert {path: path.read_bytes() for path in there.glob(pattern)} == before


@pytest.mark.parametrize("seed", seeds(120, 3))
def test_what_people_change(there, seed):
    pattern, command = OPEN[turn(seed, OPEN)]
    harm(pattern, random.Random(seed))
    result = run(*ALL[command], expect=None)
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    told_in_one_line(result.exit_code, result.stderr, result.stdout)
