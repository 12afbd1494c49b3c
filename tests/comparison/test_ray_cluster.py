"""A comparison on a cluster of Ray: two nodes on loopback, one of which dies in the middle."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ray = pytest.importorskip("ray", reason="csdm-cli[cluster] is not installed")

METHODS = ("dm", "herding")
COMMAND = [
    *("compare", "--params", "params.yaml", "--methods", ",".join(METHODS), "--ipc", "2", "--seeds", "2"),
    *("--threads", "1", "--device", "cpu", "--tracking", "none", "--set", "distill.iterations=40"),
]


@pytest.fixture
def cluster(monkeypatch):
    """A node of one core, which tests may add another to."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # no token in the home folder
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield made
    made.shutdown()


def started(words: list[str], folder: Path, address: str | None = None) -> subprocess.Popen[str]:
    """csdm in a process of its own, in ``folder`` with a cache beside it."""
    own = {"CSDM_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    root = str(Path(__file__).parents[2])
    own |= {"PYTHONPATH": root} | ({"RAY_ADDRESS": address} if address else {})
    command = [sys.executable, "-m", "csdm_cli", *words]
    return subprocess.Popen(
        command, cwd=folder, env=os.environ | own, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finish(process: subprocess.Popen[str], expect: int = 0) -> str:
    _, errors = process.communicate(timeout=550)
    assert process.returncode == expect, errors
    return errors


def sets(folder: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in (folder / "artifacts").rglob("distilled.safetensors")}


def made(folder: Path) -> dict[str, int]:
    """When each file was written that takes training."""
    files = [*folder.rglob("*.safetensors"), *folder.rglob("evaluations/**/*.json")]
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in files if path.is_file()}


@pytest.fixture
def folders(world, tmp_path):
    """Two folders of the same data without teachers."""
    for name in ("serial", "ray"):
        world.copy_to(tmp_path / name)
        shutil.rmtree(tmp_path / name / "teachers")
    return tmp_path / "serial", tmp_path / "ray"


@pytest.mark.slow
def test_a_node_that_dies_changes_no_byte(folders, cluster):
    here, there = folders
    finish(started([*COMMAND, "--data", "data"], here))
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    process = started([*COMMAND, "--data", "data", "--executor", "ray"], there, cluster.address)
    lines = []
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(line)
        if " of 18 tasks: teachers" in line:
            cluster.remove_node(second, allow_graceful=False)
            break
    rest = finish(process)
    assert "Ray: 2 machines, a task has 1 core" in "".join(lines) and "18 of 18 tasks" in rest
    assert (there / "artifacts/compare/metrics.json").read_bytes() == (
        here / "artifacts/compare/metrics.json"
    ).read_bytes()
    assert sets(there) == sets(here) and len(sets(here)) == 8
    assert not list(there.rglob(".shared-*"))
    kept = made(there)
    finish(started([*COMMAND, "--data", "data", "--out", "again"], there))
    assert made(there) == kept, "the serial command finds all of it"
    names = ("compare.csv", "metrics.json", "summary.json")
    for name in names:
        assert (there / "again" / name).read_bytes() == (there / "artifacts/compare" / name).read_bytes(), name


@pytest.mark.slow
def test_after_ctrl_c_the_same_command_goes_on(folders, cluster):
    _, there = folders
    words = [*COMMAND, "--data", "data", "--executor", "ray"]
    process = started(words, there, cluster.address)
    assert process.stderr is not None
    for line in process.stderr:
        if "tasks: teachers" in line:
            process.send_signal(signal.SIGINT)
            break
    said = finish(process, expect=130)
    assert "the same command goes on from there" in said and "Traceback" not in said
    kept = made(there)
    assert any("teachers" in name for name in kept)
    finish(started(words, there, cluster.address))
    assert made(there).items() >= {name: at for name, at in kept.items() if "checkpoint" not in name}.items()


@pytest.mark.slow
def test_failures_are_those_of_a_serial_run(folders, cluster):
    here, there = folders
    words = [*COMMAND, "--data", "data", "--set", "distill.lr=1e8", "--set", "distill.calibration=1e30"]
    said = [finish(started(words, here), 1), finish(started([*words, "--executor", "ray"], there, cluster.address), 1)]
    errors = [[line for line in text.splitlines() if line.startswith("error: ")] for text in said]
    assert errors[0] == errors[1] and len(errors[0]) == 1 and "dm" in errors[0][0]


@pytest.mark.slow
def test_no_cluster_at_the_address(folders):
    _, there = folders
    said = finish(started([*COMMAND, "--data", "data", "--executor", "ray"], there, "127.0.0.1:1"), 1)
    assert "error: no Ray cluster at $RAY_ADDRESS (127.0.0.1:1)" in said and "Traceback" not in said
