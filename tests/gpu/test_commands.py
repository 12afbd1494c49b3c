"""Every command on CUDA: as asked for, and with equal bytes under ``--deterministic``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.command_world import COMMANDS, contents, run

CHAIN = [command for command in COMMANDS if command != "make-lt"]
FAST = ["--precision", "bf16", "--channels-last"]


@pytest.mark.parametrize("command", CHAIN)
def test_the_same_settings_give_the_same_bytes(workplace, command):
    found = []
    for _ in range(2):
        run(*COMMANDS[command], "--device", "cuda", "--deterministic")
        found.append(contents(Path("out")))
        shutil.rmtree("out")
        shutil.rmtree(".csdm", ignore_errors=True)
    assert found[0] == found[1]


@pytest.mark.parametrize("extra", [[], FAST], ids=["plain", "bf16"])
@pytest.mark.parametrize("command", ["distill", "evaluate"])
def test_what_is_made_says_where(workplace, command, extra):
    run(*COMMANDS[command], "--device", "cuda", *extra)
    records = [path.read_text() for path in Path("out").rglob("*.run.json")]
    assert any(torch.cuda.get_device_name() in record for record in records)


def test_students_at_once_are_about_those_in_turn(workplace):
    """Equal up to rounding after so few steps that it has not grown."""
    found = []
    for way in ("together", "in-turn"):
        result = run(*COMMANDS["evaluate"], "--device", "cuda", "--parallel", way, "--json", "--no-controls")
        found.append(json.loads(result.stdout)["accuracy"]["mean"])
        shutil.rmtree("out")
        shutil.rmtree(".csdm", ignore_errors=True)
    assert found[0] == pytest.approx(found[1], abs=2)


def test_a_gpu_is_profiled(workplace):
    run("profile", "--teachers", "teachers", "--out", "costs", "--device", "cuda")
    assert torch.cuda.get_device_name() in Path("costs/timing.json").read_text()
