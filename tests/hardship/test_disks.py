"""Disks that are full at some moment, files that may not grow, folders that take nothing: nothing is half-made."""

from __future__ import annotations

import ctypes
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_world import break_writes, litter, run
from tests.commands.processes import PATIENCE
from tests.hardship.campaign import seeds, turn
from tests.hardship.commands import ALL, told_in_one_line
from tests.warm import start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="disks are limited the Linux way")


@pytest.mark.parametrize("seed", seeds(50, 1))
def test_full_from_some_file_on(tried, there, tmp_path, seed):
    command, chance = turn(seed, ALL), random.Random(seed)
    for _ in range(2):
        with break_writes(chance.randrange(6)):
            result = run(*ALL[command], expect=None)
        told_in_one_line(result.exit_code, result.stderr)
        assert result.exit_code in (0, 1) and not litter(there)
        tried.is_not_half_made(there)
        if result.exit_code == 0:
            break
        assert "space" in result.stderr, result.stderr
    if result.exit_code:
        again = run(*ALL[command], expect=None)
        assert again.exit_code == 0 or "exists" in again.stderr, again.stderr
    tried.is_equal(there)


@pytest.mark.parametrize("seed", seeds(50, 1))
def test_files_may_not_grow(tried, there, tmp_path, seed):
    """As a quota or ``ulimit -f`` has it."""
    command = turn(seed, ALL)
    most = random.Random(seed).choice((0, 100, 1000, 5000, 20_000, 100_000))
    code, stderr = apart(there, tmp_path / "cache", ALL[command], limit=most)
    told_in_one_line(code, stderr)
    assert code in (0, 1), stderr
    if "of the rows failed" not in stderr:  # then a comparison tells of the others
        tried.is_not_half_made(there)
    if code:
        code, stderr = apart(there, tmp_path / "cache", ALL[command])
        assert code == 0 or "exists" in stderr, stderr
    tried.is_equal(there)
    assert not litter(there)


@pytest.mark.parametrize("seed", seeds(17, 0))
def test_folders_that_are_read_only(tried, seed):
    """For a user who may not write: the results' folder, or the cache."""
    command, chance = turn(seed, ALL), random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name) / "work"
        tried.copy_to(place)
        closed = place / chance.choice(("out", "cache", "."))
        closed.mkdir(exist_ok=True)
        closed.chmod(0o555)
        code, stderr = apart(place, place / "cache", ALL[command], powerless=True)
        told_in_one_line(code, stderr)
        assert code in (0, 1), stderr
        assert code or closed.name not in ("out", "work"), "nothing can have been written"
        if code:
            assert "ermission" in stderr, stderr
            tried.is_not_half_made(place)
        closed.chmod(0o755)


@pytest.mark.parametrize("seed", seeds(34, 0))
def test_a_small_disk(tried, there, tmp_path, small_disk, seed):
    """A real one: what a command leaves has to fit, or is told."""
    command, chance = turn(seed, ALL), random.Random(seed)
    (there / "out").symlink_to(small_disk)
    filler = small_disk / "filler"
    filler.write_bytes(b"\0" * chance.choice((50_000, 150_000, 220_000, 245_000)))
    code, stderr = apart(there, tmp_path / "cache", ALL[command])
    told_in_one_line(code, stderr)
    assert code in (0, 1), stderr
    filler.unlink()
    if "of the rows failed" not in stderr:
        tried.is_not_half_made(there)
    if code:
        assert "space" in stderr, stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty disk of a quarter of a megabyte, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if (
        os.getuid()
        or shutil.which("mount") is None
        or subprocess.run(words, capture_output=True, check=False).returncode
    ):
        pytest.skip("this user may not mount a disk")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def drop_powers() -> None:
    """Make root a user like others, whom the rights of a folder bind."""
    version_3, own = 0x20080522, 0
    header, none = (ctypes.c_uint32 * 2)(version_3, own), (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None).capset(header, none) == 0


def apart(
    folder: Path, cache: Path, words: list[str], limit: int | None = None, powerless: bool = False
) -> tuple[int, str]:
    """``csdm WORDS`` in a process of its own; its exit code and what it said."""
    handle, log = tempfile.mkstemp()
    process = start(_run, folder, cache, words, limit, powerless, log)
    process.join(PATIENCE)
    assert process.exitcode is not None, "the process hangs"
    text = Path(log).read_text()
    os.close(handle)
    Path(log).unlink()
    return process.exitcode, text


def _run(folder: Path, cache: Path, words: list[str], limit: int | None, powerless: bool, log: str) -> None:
    from csdm_cli import __main__ as csdm

    reader, writer = os.pipe()  # what is said must not count as a file
    keeper = os.fork()
    if keeper == 0:
        os.close(writer)
        with open(reader, "rb") as said, open(log, "wb") as kept:  # noqa: PTH123
            shutil.copyfileobj(said, kept)
        os._exit(0)
    os.chdir(folder)
    os.environ |= {"CSDM_CACHE": str(cache), "CSDM_TRACKING": "none", "OMP_NUM_THREADS": "1"}
    os.dup2(writer, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.close(writer)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if powerless:
        drop_powers()
    sys.argv = ["csdm", *words]
    code: object = 0
    try:
        csdm.main()
    except SystemExit as leaving:
        code = leaving.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 70
    sys.stderr.flush()
    os.close(2)
    os.waitpid(keeper, 0)
    os._exit(code if isinstance(code, int) else int(code is not None))
