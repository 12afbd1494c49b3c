"""A real MLflow server, over HTTP and in a browser: which kernel gave which accuracy?"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from csdm_cli.artifacts.file import FILE_NAME
from tests.command_world import run, world  # noqa: F401  a fixture

pytestmark = pytest.mark.slow
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
EVALUATE = ("--data", "data", "--students", 2, "--steps", 4, "--test-points", 1, "--no-controls")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory, made_store):
    """The address of an MLflow server with a store of its own."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    shutil.copy(made_store, folder / "mlflow.db")
    environment = {
        **os.environ,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "kept"), "--port", str(port), "--workers", "1"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5)
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def accuracies(world, server, tmp_path_factory) -> dict[str, float]:  # noqa: F811
    """By kernel: what students of two tiny sets scored, both distilled and evaluated by hand, one after the other."""
    place = tmp_path_factory.mktemp("compared")
    world.copy_to(place)
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("CSDM_CACHE", str(place / "cache"))
        patch.setenv("MLFLOW_TRACKING_URI", server)
        patch.setenv("CSDM_TRACKING", "mlflow")
        for kernel in ("rbf", "laplace"):
            run("distill", "data", "--teachers", "teachers", "--kernel", kernel, "--out", kernel)
            run("evaluate", kernel, *EVALUATE, "--out", f"of-{kernel}")
            assert Path(kernel, FILE_NAME).exists()
            found[kernel] = json.loads(Path(f"of-{kernel}", "metrics.json").read_text())["accuracy"]["mean"]
    return found


def ask(server: str, path: str, **body: object) -> dict:
    """MLflow's REST interface, without its library."""
    request = urllib.request.Request(
        f"{server}/api/2.0/mlflow/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_the_server_knows_which_kernel_gave_which_accuracy(server, accuracies, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    mlflow.set_tracking_uri(server)
    table = mlflow.search_runs(experiment_names=["csdm"], filter_string="tags.command = 'evaluate'")
    assert dict(zip(table["params.distill.kernel"], table["metrics.accuracy"], strict=True)) == accuracies
    assert set(table["params.distill.ipc"]) == {"2"} and set(table["params.pretrain.width"]) == {"4"}
    assert set(table["tags.mlflow.runName"]) == {f"evaluate csdm {kernel} ipc2 seed0" for kernel in accuracies}
    # the set's own run has the accuracy too, and is named
    made = mlflow.search_runs(experiment_names=["csdm"], filter_string="tags.command = 'distill'")
    assert dict(zip(made["params.distill.kernel"], made["metrics.accuracy"], strict=True)) == accuracies
    assert set(made["tags.mlflow.runName"]) == {f"csdm {kernel} ipc2 seed0" for kernel in accuracies}
    links = dict(zip(table["params.distill.kernel"], table["tags.distill_run"], strict=True))
    assert links == dict(zip(made["params.distill.kernel"], made["run_id"], strict=True))
    assert set(table["tags.run_key"]) == set(made["tags.run_key"])


def test_rest_alone_tells_as_much(server, accuracies):
    experiment = urllib.request.urlopen(f"{server}/api/2.0/mlflow/experiments/get-by-name?experiment_name=csdm")
    number = json.load(experiment)["experiment"]["experiment_id"]
    query = "params.`distill.kernel` = 'laplace' and tags.command = 'evaluate'"
    (only,) = ask(server, "runs/search", experiment_ids=[number], filter=query)["runs"]
    metrics = {metric["key"]: metric["value"] for metric in only["data"]["metrics"]}
    assert metrics["accuracy"] == accuracies["laplace"] and "accuracy_std" in metrics
    inputs = {entry["dataset"]["name"]: entry["tags"][0]["value"] for entry in only["inputs"]["dataset_inputs"]}
    assert inputs == {"digits": "test", "csdm laplace ipc2 seed0": "distilled"}
    with urllib.request.urlopen(f"{server}/api/2.0/mlflow/runs/get?run_id={only['info']['run_id']}") as answer:
        assert len(json.load(answer)["run"]["inputs"]["model_inputs"]) == 1, "the teachers"


def test_per_class_accuracy_is_a_table_of_the_run(server, accuracies):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=server)
    experiment = client.get_experiment_by_name("csdm").experiment_id
    runs = client.search_runs([experiment], "tags.command = 'evaluate'")
    table = client.load_table(experiment, "per_class.json", [runs[0].info.run_id])
    assert list(table["class"]) == list(range(10))
    assert list(table["group"]) == ["head"] * 3 + ["medium"] * 4 + ["tail"] * 3
    assert table["images"].is_monotonic_decreasing and table["accuracy"].between(0, 100).all()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install one, or set CHROMIUM")
def test_the_compare_page_shows_kernel_and_accuracy(server, accuracies, tmp_path):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=server)
    experiment = client.get_experiment_by_name("csdm").experiment_id
    runs = [run.info.run_id for run in client.search_runs([experiment], "tags.command = 'evaluate'")]
    query = urllib.parse.urlencode({"runs": json.dumps(runs), "experiments": json.dumps([experiment])})
    page = text_of(f"{server}/#/compare-runs?{query}", tmp_path)
    assert "Comparing 2 Runs" in page
    for kernel, accuracy in accuracies.items():
        assert f"evaluate csdm {kernel} ipc2 seed0" in page and kernel in page
        assert re.search(rf"\b{accuracy:.4g}", page), accuracy
    assert re.search(r"distill\.kernel\W+(laplace\W+rbf|rbf\W+laplace)", page)


def text_of(address: str, profile: Path) -> str:
    """The text that a page shows once its scripts have run."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [f"--user-data-dir={profile}", "--window-size=1500,2400", "--virtual-time-budget=30000", "--dump-dom"]
    done = subprocess.run([*command, address], capture_output=True, text=True, check=True, timeout=180)
    return " ".join(re.sub(r"<[^>]*>", " ", done.stdout).split())
