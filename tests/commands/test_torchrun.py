"""Real jobs of several processes: the same bytes as one process gives, one voice, one line when a rank dies."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command_world import COMMANDS, contents, fails, litter, run

DISTILL = ["distill", "data", "--ipc", "1", "--checkpoint-every", "0"]  # ten classes in four chunks: 3, 3, 3, 1
TEACHERS = ["--teachers", "teachers"]
SHORT = ["--option", "outer=3", "--option", "inner=2"]  # a second network at the last of four steps
IDC, DREAM = (["--method", name, *SHORT, "--real-batch", "4"] for name in ("idc", "dream"))


@pytest.fixture
def torchrun(warm) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``torchrun csdm ARGUMENTS`` in the working directory, as so many processes, or another ``program`` instead."""

    def start(processes: int, *arguments: str, program: str = "csdm") -> subprocess.CompletedProcess[str]:
        command = [warm / "torchrun", "--nproc-per-node", str(processes), "--no-python", warm / program]
        words = [*arguments, "--params", "params.yaml"]
        return subprocess.run([*command, *words], capture_output=True, text=True, timeout=120, check=False)

    return start


def csdm_lines(text: str) -> list[str]:
    """The lines of csdm on stderr, without torchrun's own log and report."""
    said = text.partition("Traceback (most recent call last):\n")[0].splitlines()
    return [line for line in said if line and line[0] not in "*WE" and not line.startswith("Setting OMP_NUM_THREADS")]


@pytest.mark.parametrize(
    ("processes", "more"), [(2, []), (3, TEACHERS), (3, IDC)], ids=["2 ranks", "3 ranks", "3 ranks of idc"]
)
def test_the_same_bytes_for_any_number_of_ranks(workplace, tmp_path, monkeypatch, torchrun, processes, more):
    """With 2 ranks they train the teachers too; with 3, shares are of 3, 3 and 4 classes, of idc 3, 4 and 3."""
    monkeypatch.setenv("CSDM_CACHE", str(tmp_path / "alone"))
    alone = run(*DISTILL, *more, "--out", "out/alone")
    monkeypatch.setenv("CSDM_CACHE", str(tmp_path / "shared"))
    job = torchrun(processes, *DISTILL, *more, "--out", "out/shared")
    assert job.returncode == 0, job.stderr
    assert contents(Path("out/shared")) == contents(Path("out/alone"))  # the curve of the loss, too
    assert job.stdout.replace("shared", "alone") == alone.stdout
    notes = csdm_lines(job.stderr)
    assert len(notes) == len(set(notes)), "one rank speaks for all"
    assert not litter(Path.cwd()) and not litter(tmp_path / "shared")


@pytest.mark.parametrize(("more", "chunk"), [(TEACHERS, 3), (DREAM, 1)], ids=["csdm", "dream"])
def test_a_rank_that_is_killed_ends_the_job_in_one_line_and_the_next_run_goes_on(
    workplace, tmp_path, torchrun, more, chunk
):
    shared = [*DISTILL, *more, "--out", "out/shared"]
    job = torchrun(2, "1", "2", *shared, program="dying")
    assert job.returncode == 1 and job.stdout == ""
    errors = [line for line in job.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and errors[0].startswith("error: rank 1 of 2 died"), job.stderr
    assert job.stderr.count("Traceback") == 1, job.stderr  # torchrun's own report
    assert not Path("out").exists()
    checkpoints = tmp_path / "cache" / "checkpoints"
    assert len(list(checkpoints.glob(f"*.rank-1-of-2-by-{chunk}.safetensors"))) == 1  # rank 0 may have been behind
    again = torchrun(2, "1", "1", *shared, program="dying")
    assert again.returncode == 0, "rank 1 began anew, with the step at which it dies\n" + again.stderr
    run(*DISTILL, *more, "--out", "out/alone")
    assert contents(Path("out/shared")) == contents(Path("out/alone"))
    assert not list(checkpoints.iterdir())


def test_ranks_share_the_students(world, workplace, torchrun):
    job = torchrun(2, *COMMANDS["evaluate"])
    assert job.returncode == 0, job.stderr
    assert contents(Path("out/evaluation")) == contents(world.folder / "out/evaluation")
    assert job.stdout.count("trained on") == 1


def test_a_fault_that_all_ranks_find_is_told_once(workplace, torchrun):
    job = torchrun(2, *DISTILL, "--out", "params.yaml/out")
    assert job.returncode == 1
    errors = [line for line in job.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "params.yaml" in errors[0], job.stderr


@pytest.fixture
def seated(monkeypatch):
    """The environment of rank 0 of 2, without a job around it."""
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_PORT", "1")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["make-lt", "digits"], "make-lt runs in one process"),
        ([*DISTILL, "--engine", "textbook"], "--engine textbook"),
        ([*DISTILL, "--method", "random"], "--method random"),
        ([*DISTILL, "--calibration", "1x"], "--calibration 1x is measured on all classes"),
        (
            [*DISTILL, "--method", "dc"],
            "--method dc couples the classes (its network learns from the synthetic images of all of them): run it",
        ),
    ],
)
def test_what_cannot_be_shared_is_refused(workplace, seated, arguments, why):
    fails(run(*arguments, expect=None), 2, why, "without torchrun")
