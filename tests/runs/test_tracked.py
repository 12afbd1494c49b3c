"""Whatever has an accuracy has the settings that made it; what made it has the accuracy."""

import json
from pathlib import Path

import pytest

from csdm_cli.artifacts.file import FILE_NAME, load_distilled
from csdm_cli.evaluation.scores import group_of_classes
from csdm_cli.runs import tracked
from csdm_cli.settings import sections
from csdm_cli.storage.tensorfile import tensor_sha256
from tests.command_world import run

EVALUATE = ("--data", "data", "--students", 2, "--steps", 2, "--test-points", 1)


@pytest.fixture
def client(ready_store, monkeypatch):
    """A client of a store that is there already, in which everything of this test is tracked."""
    from mlflow import MlflowClient

    monkeypatch.setenv("CSDM_TRACKING", "mlflow")
    return MlflowClient(tracking_uri=ready_store)


def runs_of(client, command):
    experiment = client.get_experiment_by_name("csdm").experiment_id
    return client.search_runs([experiment], f"tags.command = '{command}'", order_by=["attributes.start_time ASC"])


def mean(file, *keys):
    value = json.loads(Path(file).read_text())
    for key in keys:
        value = value[key]
    return value


def test_evaluate_and_cross_arch_carry_the_settings_and_give_the_accuracy_back(client, workplace):
    run("distill", "data", "--teachers", "teachers", "--kernel", "laplace", "--out", "own")
    run("evaluate", "own", *EVALUATE, "--no-controls", "--out", "evaluated")
    run("cross-arch", "own", "--data", "data", "--networks", "alexnet", "--no-controls", "--out", "others")
    (distill,), (evaluate,), (cross,) = (runs_of(client, name) for name in ("distill", "evaluate", "cross-arch"))
    distilled = load_distilled(Path("own", FILE_NAME))
    for found in (evaluate, cross):
        params, tags = found.data.params, found.data.tags
        settings = {name: text for name, text in distill.data.params.items() if not name.startswith("make_lt")}
        assert {name: params[name] for name in settings} == settings
        assert (params["distill.kernel"], params["pretrain.width"], params["pretrain.teachers"]) == (
            "laplace",
            "4",
            "2",
        )
        assert params["make_lt.imbalance"] == "6.0" and tags["method"] == "csdm" and tags["split"] == "test"
        assert tags["distilled.sha256"] == tensor_sha256(distilled.images)
        assert tags["distill_run"] == distill.info.run_id and tags["run_key"] == distill.data.tags["run_key"]
    accuracy, elsewhere = mean("evaluated/metrics.json", "accuracy", "mean"), mean("others/metrics.json", "alexnet")
    assert evaluate.data.metrics["accuracy"] == distill.data.metrics["accuracy"] == accuracy
    assert cross.data.metrics["accuracy/alexnet"] == distill.data.metrics["accuracy/alexnet"]
    assert cross.data.metrics["accuracy/alexnet"] == elsewhere["accuracy"]["mean"]
    names = [found.info.run_name for found in (distill, evaluate, cross)]
    assert names == [f"{before}csdm laplace ipc2 seed0" for before in ("", "evaluate ", "cross-arch ")]
    assert {entry.dataset.name for entry in evaluate.inputs.dataset_inputs} == {"digits", "csdm laplace ipc2 seed0"}
    summary = json.loads(Path("evaluated/summary.json").read_text())
    assert summary["accuracy"] == accuracy and summary["gap"] is None
    history = client.get_metric_history(evaluate.info.run_id, "accuracy")
    assert len(history) == 1


def test_accuracies_on_the_development_set_stay_with_their_own_run(client, workplace):
    run("distill", "data", "--teachers", "teachers", "--out", "own")
    run("evaluate", "own", *EVALUATE, "--no-controls", "--split", "dev", "--out", "evaluated")
    (distill,), (evaluate,) = runs_of(client, "distill"), runs_of(client, "evaluate")
    assert evaluate.data.metrics["accuracy"] == mean("evaluated/metrics.json", "accuracy", "mean")
    assert "accuracy" not in distill.data.metrics and evaluate.data.tags["split"] == "dev"
    run("cross-arch", "own", "--data", "data", "--networks", "alexnet", "--split", "dev", "--out", "others")
    (distill,), (cross,) = runs_of(client, "distill"), runs_of(client, "cross-arch")
    assert cross.data.metrics["accuracy/alexnet"] == mean("others/metrics.json", "alexnet")["accuracy"]["mean"]
    assert "accuracy/alexnet" not in distill.data.metrics and cross.data.tags["split"] == "dev"
    assert mean("others/metrics.json", "alexnet", "split") == "dev"
    assert mean("others/metrics.json", "alexnet")["accuracy"] != mean("evaluated/metrics.json", "accuracy")


def test_a_comparison_names_its_sets_and_holds_their_accuracies(client, workplace):
    settings = ("--set", "evaluate.students=1", "--set", "evaluate.steps=2", "--set", "evaluate.test_points=1")
    run(
        "compare",
        "--data",
        "data",
        "--teachers",
        "teachers",
        "--methods",
        "herding",
        "--ipc",
        1,
        "--seeds",
        1,
        *settings,
    )
    whole, *cells = runs_of(client, "compare")
    assert whole.info.run_name == "compare herding ipc1 1 seed"
    assert {cell.info.run_name for cell in cells} == {
        f"{name} ipc1 seed0" for name in ("herding", "random", "tiled-random")
    }
    herding = next(cell for cell in cells if cell.info.run_name.startswith("herding"))
    assert herding.data.params["distill.method"] == "herding" and "distill.kernel" not in herding.data.params
    assert herding.data.tags["mlflow.parentRunId"] == whole.info.run_id
    rows = json.loads(Path("artifacts/compare/metrics.json").read_text())["data-ipc1"]
    assert herding.data.metrics["accuracy"] == rows["herding"]["accuracy"]["mean"]
    assert whole.data.metrics["accuracy/data-ipc1/herding"] == rows["herding"]["accuracy"]["mean"]
    assert (
        json.loads(Path("artifacts/compare/summary.json").read_text())["accuracy_percent"]["data-ipc1"]["herding"]
        == (rows["herding"]["accuracy"]["mean"])
    )


def test_teachers_are_models_that_one_run_made_and_others_read(client, workplace):
    run("pretrain", "data", "--out", "own")
    run("distill", "data", "--teachers", "own", "--out", "set-of-own")
    (pretrain,), (distill,) = runs_of(client, "pretrain"), runs_of(client, "distill")
    made = [entry.model_id for entry in client.get_run(pretrain.info.run_id).outputs.model_outputs]
    read = [entry.model_id for entry in client.get_run(distill.info.run_id).inputs.model_inputs]
    assert made == read and len(made) == 1
    assert client.get_logged_model(made[0]).params["width"] == "4"


def test_a_set_that_is_there_already_leaves_a_run_that_says_so(workplace):
    """With its settings, and not among those that accuracies are given to."""
    words = ("distill", "data", "--method", "random", "--out", "own", "--tracking", "csv")
    run(*words)
    run(*words)
    made, found = (json.loads(place.read_text()) for place in sorted(workplace.parent.glob("cache/runs/*/run.json")))
    assert made["params"] == found["params"] and found["params"]["distill.method"] == "random"
    assert made["tags"].pop("run_key") and found["tags"].pop("nothing_to_do") == "True"
    assert made["tags"] == found["tags"] and found["status"] == "FINISHED"


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"ipc": 50, "kernel": "rbf"}, "csdm rbf ipc50 seed0"),
        ({"method": "dm", "ipc": 10, "seed": 3}, "dm ipc10 seed3"),
        ({"method": "herding"}, "herding ipc10 seed0"),
    ],
)
def test_names_say_what_the_method_reads(settings, name):
    chosen = sections.Distill.model_validate(settings).model_dump(mode="json")
    assert tracked.run_name(chosen) == name and tracked.run_name(chosen, "evaluate") == f"evaluate {name}"


def test_a_method_of_another_tool_has_a_name_too():
    assert tracked.run_name({"method": "imported", "ipc": 1}, "evaluate") == "evaluate imported ipc1"


def test_the_settings_of_teachers_are_those_they_were_trained_with():
    spec = {"name": "convnet", "width": 8, "depth": 2, "norm": "batch", "pooling": "max", "channels": 1}
    recipe = {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.0, "batch": 4, "augment": "none", "cutmix": 0.0}
    made = {"spec": spec, "recipe": recipe, "epochs": 3, "loss": "cross-entropy", "trajectory": True, "seed": 5}
    found = tracked.pretrain_settings(made | {"teachers": 2})
    assert sections.Pretrain.model_validate(found).model_dump(mode="json", include=set(found)) == found
    assert tracked.pretrain_settings(made | {"teachers": 2, "steps": 9})["steps"] == 9
    assert tracked.pretrain_settings(None) == {}


def test_the_table_of_classes():
    class StoredEvaluation:
        groups = group_of_classes((5, 1, 3))
        per_class = (None, *[type("Summary", (), {"mean": value, "std": None})() for value in (0.5, 0.25)])

    table = tracked.per_class(StoredEvaluation, ("a", "b", "c"), (5, 1, 3))
    assert table == {
        "class": ["a", "b", "c"],
        "images": [5, 1, 3],
        "group": ["head", "tail", "medium"],
        "accuracy": [None, 50.0, 25.0],
        "accuracy_std": [None, None, None],
    }
