"""A class that is trained on but has no test image, through every command that evaluates."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.command_world import run
from tests.data.pictures import image_folder, noise

NAMED = "Untested, for there are no test images of them: eel."
SETTINGS = """
pretrain: {width: 4, depth: 2, teachers: 1, epochs: 1, batch: 16}
distill: {ipc: 1, frequencies: 8, iterations: 2, draws: 1}
evaluate: {students: 2, steps: 2, full_steps: 2, batch: 32, test_points: 1}
cross_arch: {networks: [convnet], students: 1, steps: 1}
"""


@pytest.fixture
def eels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_store: Path) -> Path:
    """A folder of four classes, the smallest of which has training images only."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CSDM_TRACKING", "mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    shutil.copy(made_store, tmp_path / "runs.db")
    (tmp_path / "params.yaml").write_text(SETTINGS)
    sizes = {"ant": 7, "bee": 5, "cow": 4, "eel": 3}
    train = {name: [noise(seed, 16, 16) for seed in range(size)] for name, size in sizes.items()}
    test = {name: [noise(100 + seed, 16, 16) for seed in range(2)] for name in ("ant", "bee", "cow")}
    return image_folder(tmp_path / "pets", {"train": train, "test": test})


def test_a_class_without_test_images_is_told_as_untested_from_distill_to_the_page(eels, tmp_path):
    made = run("distill", "pets", "--out", "set")
    assert "1 of 4 classes has no test images, so it is trained on but untested: 'eel'" in made.stderr

    evaluated = run("evaluate", "set", "--out", "found")
    assert NAMED in evaluated.stdout and "tail" in evaluated.stdout
    metrics = json.loads(Path("found/metrics.json").read_text())
    assert metrics["untested"] == ["eel"]
    own = json.loads(Path("found/details.json").read_text())["rows"]["csdm (hard labels)"]
    assert [score is None for score in own["per_class"]] == [False, False, False, True]
    rows = list(csv.DictReader(Path("found/per_class.csv").read_text().splitlines()))
    assert [(row["class"], row["images"], row["accuracy"] == "") for row in rows] == [
        *(("ant", "7", False), ("bee", "5", False), ("cow", "4", False)),
        ("eel", "3", True),
    ]
    groups = {name: [row for row in rows if row["group"] == name] for name in ("head", "tail")}
    assert [row["class"] for row in groups["tail"]] == ["cow", "eel"]
    assert metrics["tail"]["mean"] == pytest.approx(float(groups["tail"][0]["accuracy"]), abs=1e-3)  # of the cow alone
    assert metrics["worst_class"]["mean"] <= metrics["accuracy"]["mean"]

    others = run("cross-arch", "set", "--out", "others")
    assert NAMED in others.stdout
    assert json.loads(Path("others/metrics.json").read_text())["convnet"]["untested"] == ["eel"]
    report = run("report", "found", "others")
    assert report.stdout.count(NAMED) == 2
    run("report", "found", "--html", "--out", "page.html")
    assert NAMED in Path("page.html").read_text() and "eel (3)" not in Path("page.html").read_text()

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/runs.db")
    found = client.search_runs([one.experiment_id for one in client.search_experiments()])
    tags = {one.data.tags["mlflow.runName"].split()[0]: one.data.tags.get("untested") for one in found}
    assert tags["evaluate"] == tags["cross-arch"] == "eel" and tags["csdm"] is None


def test_a_comparison_tells_of_a_class_without_test_images(eels, monkeypatch):
    monkeypatch.setenv("CSDM_TRACKING", "none")
    quick = ["--params", "params.yaml", "--ipc", 1, "--seeds", 1, "--out", "found"]
    found = run("compare", "--data", "pets", "--methods", "random", *quick)
    assert NAMED in found.stdout
    table = json.loads(Path("found/compare.json").read_text())["tables"]["pets-as-is-ipc1"]
    assert table["untested"] == ["eel"] and table["rows"][0]["evaluations"][0]["per_class"][3] is None


def test_a_set_that_tests_every_class_is_told_no_more_than_before(workplace):
    assert "Untested" not in run("evaluate", "set", "--data", "data", "--out", "found").stdout
    assert "untested" not in json.loads(Path("found/metrics.json").read_text())
