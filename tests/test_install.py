"""The lock holds what the ranges allow, and make installs from it once, wherever the clone lies."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PINS = [Requirement(line) for line in LOCK.splitlines() if line and line.lstrip()[0] != "#"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DIRECT = [Requirement(text) for text in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"])]
# Stands for every program of an environment: notes how it was called; `-m venv DIR` makes DIR with more of it.
STUB = """#!/bin/sh
echo "${0##*/} $*" >> "$LOG"
[ "$1 $2" = "-m venv" ] || exit 0
mkdir -p "$3/bin"
for name in python pytest dvc; do cp "$0" "$3/bin/$name"; done
"""
INSTALL = [
    "stub -m venv .venv",
    "python -m pip install --quiet --requirement requirements.lock",
    "python -m pip install --quiet --no-deps --no-build-isolation --editable .",
]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_names_exact_versions_and_no_place():
    assert len(PINS) > 100
    for pin in PINS:
        assert [clause.operator for clause in pin.specifier] == ["=="] and pin.url is None, pin
    assert not re.search(r"://|^\s*-|--index|--find-links", LOCK, re.MULTILINE)


@pytest.mark.parametrize("wanted", DIRECT, ids=str)
def test_the_lock_is_within_the_ranges(wanted):
    pinned = [pin for pin in PINS if canonical(pin.name) == canonical(wanted.name)]
    assert pinned
    for pin in pinned:
        (clause,) = pin.specifier
        assert wanted.specifier.contains(clause.version)


@pytest.mark.parametrize("python", ["3.11.0", "3.12.0", "3.13.0"])
def test_every_supported_python_has_one_version_of_each(python):
    here = {"python_full_version": python, "python_version": python[:4], "sys_platform": "linux"}
    names = [canonical(pin.name) for pin in PINS if pin.marker is None or pin.marker.evaluate(here)]
    assert len(names) == len(set(names)) and {canonical(wanted.name) for wanted in DIRECT} <= set(names)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_installs_once_from_the_lock_in_any_folder(tmp_path):
    """Its name has a space and a letter outside ASCII, and nobody has a HOME."""
    folder, log = tmp_path / "Übung mit Leerzeichen", tmp_path / "log"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    stub = tmp_path / "stub"
    stub.write_text(STUB)
    stub.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name != "HOME" and not name.startswith("MAKE")}

    def make(target: str) -> list[str]:
        log.write_text("")
        command = ["make", "--silent", target, f"PYTHON={stub}"]
        subprocess.run(command, cwd=folder, env=kept | {"LOG": str(log)}, check=True, timeout=60)
        return log.read_text().splitlines()

    test, repro = "pytest -n auto --dist worksteal -m not slow", "dvc repro"
    assert make("test") == [*INSTALL, test]
    assert make("test") == [test] and make("repro") == [repro]
    stamp, inputs = folder / ".venv" / ".installed", [folder / name for name in ("requirements.lock", "pyproject.toml")]
    for changed in inputs:
        for path, seconds in ((inputs[0], 1e9), (inputs[1], 1e9), (stamp, 1.1e9)):
            os.utime(path, (seconds, seconds))
        assert make("repro") == [repro]
        changed.touch()
        assert make("repro") == [*INSTALL, repro]
    lowest = make("test-lowest")
    assert lowest[0] == "stub -m venv .venv-lowest" and lowest[-1] == test
    floors = (folder / ".venv-lowest" / "floors.txt").read_text().split()
    assert {canonical(floor.partition("==")[0]) for floor in floors} == {canonical(wanted.name) for wanted in DIRECT}
    assert all(
        wanted.specifier.contains(floor.partition("==")[2]) for wanted, floor in zip(DIRECT, floors, strict=True)
    )
