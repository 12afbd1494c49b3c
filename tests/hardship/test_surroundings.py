"""Odd surroundings of a fresh process: it does what it should, or says in one line why not."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.processes import PATIENCE
from tests.hardship.campaign import REPOSITORY, seeds
from tests.hardship.commands import ALL, is_harmless

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the shell's redirections are used")

STREAMS = (
    "",
    ">&-",
    "2>&-",
    "<&-",
    ">&- 2>&- <&-",
    "> /dev/full",
    "| true",
    "2>&1 | head -c 1 > /dev/null",
    "> /dev/null",
)
VARIABLES: tuple[dict[str, str | None], ...] = (
    {},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "xx_XX.nonsense"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "utf-16"},
    {"COLUMNS": "20"},
    {"COLUMNS": "²"},
    {"COLUMNS": "40", "LINES": "-1"},
    {"COLUMNS": "99999999999999999999"},
    {"HOME": None},
    {"HOME": "/nonexistent", "USER": None},
    {"HOME": None, "CSDM_CACHE": None, "XDG_CACHE_HOME": None},
    {"CSDM_CACHE": "~nobody-at-all/c"},
    {"CSDM_CACHE": "/dev/null/c"},
    {"CSDM_CACHE": "c a%20c?h#é"},
    {"TMPDIR": "/nonexistent"},
    {"TERM": "dumb"},
    {"TERM": None, "FORCE_COLOR": "1"},
    {"MPLCONFIGDIR": "/dev/null"},
    {"CSDM_TRACKING": "nonsense"},
    {"CSDM_PARAMS": "/nonexistent/params.yaml"},
    {"OMP_NUM_THREADS": "x"},
)
PLACES = ("plain", "sp ace ü 日%20#?", "-dash", "[bold]x", "a'b\"c", "x" * 200, "\udce9")
COMMANDS = ("make-lt", "distill", "evaluate", "show", "export npz", "report --html")


def csdm(folder: Path, words: list[str], streams: str, environment: dict[str, str]) -> tuple[int, str]:
    """``csdm WORDS`` in a shell; its own exit code, whatever reads it, and what it said on stderr."""
    command = shlex.join([sys.executable, "-m", "csdm_cli", *words])
    script = f"{{ {command}; echo $? > .code; }} {streams}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, timeout=PATIENCE, check=False
    )
    asked = environment.get("PYTHONIOENCODING") or "utf-8"
    return int((folder / ".code").read_text()), done.stderr.decode(asked, "replace")


@pytest.mark.parametrize("seed", seeds(40, 1))
def test_one_command(tried, tmp_path, seed):
    chance = random.Random(seed)
    name, streams = chance.choice(COMMANDS), chance.choice(STREAMS)
    place = tmp_path / chance.choice(PLACES)
    tried.copy_to(place)
    changes = chance.choice(VARIABLES) | chance.choice(VARIABLES)
    usual = {"CSDM_CACHE": str(tried.folder / "cache"), "CSDM_TRACKING": "none", "PYTHONPATH": str(REPOSITORY)}
    environment = {key: value for key, value in (os.environ | usual | changes).items() if value is not None}
    code, stderr = csdm(place, ALL[name], streams, environment)
    told = (name, streams, place.name, changes, code, stderr)
    assert code in (0, 1, 2) and "Traceback" not in stderr, told
    if code and "2>" not in streams:
        assert len([line for line in stderr.splitlines() if line.startswith("error: ")]) == 1, told
    if "FORCE_COLOR" not in changes:
        is_harmless(stderr.replace("\r", ""))
    if code == 0:
        tried.is_equal(place)
    tried.is_not_half_made(place)


@pytest.mark.parametrize("seed", seeds(3, 0))
def test_in_a_folder_that_is_gone(tried, tmp_path, seed):
    words = random.Random(seed).choice((ALL["show"], ALL["distill"], ["methods"], ["ledger"]))
    place = tmp_path / "gone"
    tried.copy_to(place)
    command = shlex.join([sys.executable, "-m", "csdm_cli", *words])
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    script = f"rm -r {shlex.quote(str(place))}; {command}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stderr.count("error: ") == 1, done.stderr
    assert "working directory" in done.stderr and "Traceback" not in done.stderr
    shutil.rmtree(place, ignore_errors=True)
