"""A comparison on a cluster of Ray: two nodes on loopback, one of which dies in the middle."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.command_world import PARAMS, run

# Ray waits seconds for its own processes, which take longer to start on a busy machine; read where it is imported.
os.environ |= dict.fromkeys(("RAY_gcs_rpc_server_connect_timeout_s", "RAY_gcs_server_request_timeout_seconds"), "240")
ray = pytest.importorskip("ray", reason="csdm-cli[cluster] is not installed")
psutil = pytest.importorskip("psutil")  # which Ray brings along

TASKS = 14  # sets of dm, random and tiled-random by two seeds, their students, the teachers, and the full set
COMMAND = [
    *("compare", "--params", "params.yaml", "--methods", "dm", "--ipc", "2", "--seeds", "2", "--data", "data"),
    *("--threads", "1", "--device", "cpu", "--tracking", "none", "--set", "distill.iterations=10"),
]
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
LONGEST = 300  # seconds to wait for what takes a few on an idle machine


@pytest.fixture
def cluster(monkeypatch):
    """A node of one core, which tests may add another to."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # no token in the home folder
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
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
    _, errors = process.communicate(timeout=3 * LONGEST)
    assert process.returncode == expect, errors
    return errors


def sets(folder: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in (folder / "artifacts").rglob("distilled.safetensors")}


def made(folder: Path) -> dict[str, int]:
    """When each file was written that takes training."""
    files = [path for place in ("artifacts", "cache") for path in (folder / place).rglob("*") if path.is_file()]
    kept = [path for path in files if path.suffix == (".json" if "evaluations" in path.parts else ".safetensors")]
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in kept}


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two folders of the same settings and data."""
    here, there = tmp_path / "serial", tmp_path / "ray"
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "params.yaml").write_text(PARAMS)
    run("make-lt", "--out", "data")
    shutil.copytree(here, there)
    return here, there


def stopped_in_its_task(node, folder: Path):
    """A worker of ``node``, stopped while it has a task, and the task's name; something is finished in ``folder``."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        for worker in raylet.children() if made(folder) else ():
            with suppress(psutil.NoSuchProcess):
                if task_of(worker):
                    worker.suspend()
                    if name := task_of(worker):
                        return worker, name
                    worker.resume()
        time.sleep(0.02)
    raise AssertionError("the node never had a task")


def task_of(worker) -> str | None:
    """The name of the task that a process has, by its title; None if it has none."""
    title = " ".join(worker.cmdline())
    name = title.removeprefix("ray::").strip()
    return name if title != name and (name in ("teachers", "full") or ": set " in name) else None


@pytest.mark.slow
def test_a_node_that_dies_changes_no_byte(folders, cluster):
    here, there = folders
    second = cluster.add_node(**NODE)
    cluster.wait_for_nodes()
    process = started([*COMMAND, "--executor", "ray"], there, cluster.address)
    worker, lost = stopped_in_its_task(second, there)
    finished = made(there)
    cluster.remove_node(second, allow_graceful=False)
    with suppress(psutil.NoSuchProcess):
        worker.kill()  # as all that a machine runs when it dies
    said = finish(process)
    assert "Ray: 2 machines, a task has 1 core" in said
    assert f"{TASKS} of {TASKS} tasks" in said and f"tasks: {lost}\n" in said, "the lost task was done again"
    kept = made(there)
    assert kept.items() >= {name: at for name, at in finished.items() if "checkpoint" not in name}.items()
    assert not list(there.rglob(".shared-*"))

    finish(started(COMMAND, here))
    assert sets(there) == sets(here) and len(sets(here)) == 6
    tables = [folder / "artifacts/compare/metrics.json" for folder in (here, there)]
    assert tables[0].read_bytes() == tables[1].read_bytes()
    finish(started([*COMMAND, "--out", "again"], there))
    assert made(there) == kept, "the serial command finds all of it"
    for name in ("compare.csv", "metrics.json", "summary.json"):
        assert (there / "again" / name).read_bytes() == (there / "artifacts/compare" / name).read_bytes(), name


@pytest.mark.slow
def test_after_ctrl_c_the_same_command_goes_on(folders, cluster):
    _, there = folders
    words = [*COMMAND, "--executor", "ray"]
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
    said = []
    for folder, words in ((here, COMMAND), (there, [*COMMAND, "--executor", "ray"])):
        (folder / "cache").mkdir()
        (folder / "cache" / "teachers").write_text("no folder, so that no teacher can be kept")
        text = finish(started(words, folder, cluster.address), 1)
        said.append([line.replace(str(folder), "") for line in text.splitlines() if line.startswith("error: ")])
    assert said[0] == said[1] and len(said[0]) == 1 and "1 of the rows failed: dm (" in said[0][0]


@pytest.mark.slow
def test_no_cluster_at_the_address(folders):
    _, there = folders
    said = finish(started([*COMMAND, "--executor", "ray"], there, "127.0.0.1:1"), 1)
    assert "error: no Ray cluster at $RAY_ADDRESS (127.0.0.1:1): Connection refused" in said and "Traceback" not in said
