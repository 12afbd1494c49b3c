"""All commands, one after another, as a newcomer runs them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.command_world import COMMANDS, contents, fails, litter, run

LONG_TAIL = [12, 9, 8, 6, 5, 4, 3, 2, 2, 2]  # int(12 * 6^(-c/9))


def one_object(result) -> dict:
    """Stdout is one JSON object and nothing else."""
    value = json.loads(result.stdout)
    assert isinstance(value, dict)
    return value


def test_the_whole_chain_prints_one_json_object_each(workplace, monkeypatch):
    place = workplace / "fresh"
    place.mkdir()
    monkeypatch.chdir(place)
    (place / "params.yaml").write_text((workplace / "params.yaml").read_text())

    made = one_object(run("make-lt", "--json"))
    assert made["counts"] == LONG_TAIL and Path(made["folder"]).parent == Path("data")
    taught = one_object(run("pretrain", "--json", "--out", "teachers"))
    assert taught["teachers"]["teachers"] == 2 and "all classes" in taught["train_accuracy"]
    distilled = one_object(run("distill", "--json", "--teachers", "teachers"))
    assert (distilled["images"], distilled["ipc"], distilled["method"]) == (20, 2, "csdm")
    folder = Path(distilled["file"]).parent
    assert folder.parent == Path("artifacts") and Path(distilled["grid"]).is_file()

    scores = one_object(run("evaluate", "--json"))
    assert scores["accuracy"]["students"] == 2 and set(scores["controls"]) == {
        "random",
        "tiled-random",
        "full, cross-entropy",
        "full, logit-adjustment",
        "full, balanced-softmax",
        "full, debiased",
    }
    others = one_object(run("cross-arch", "--json", folder))
    assert set(others) == {"convnet", "alexnet"} and "random" in others["alexnet"]
    costs = one_object(run("profile", "--json", "--teachers", "teachers", "--out", "costs"))
    assert set(costs["ipc"]) == {"1", "2"} and Path("costs/timing.json").is_file()
    sheets = one_object(run("report", "--json", folder, folder / "evaluate", folder / "cross_arch", "--out", "r.md"))
    assert len(sheets) == 2 and "csdm (hard labels)" in Path("r.md").read_text()

    shown = one_object(run("show", "--json", folder))
    assert shown["provenance"]["config"]["run"] == distilled["run"] and shown["run"]["wall_seconds"] > 0
    assert one_object(run("verify", "--json", folder))["sound"] is True
    exported = one_object(run("export", "--json", folder, "--to", "npz"))
    again = one_object(
        run("evaluate", "--json", "--images", exported["path"], "--data", made["folder"], "--out", "again")
    )
    assert again["method"] == "imported"
    assert not litter(place)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_same_settings_give_the_same_bytes(world, workplace, command):
    run(*COMMANDS[command])
    name = COMMANDS[command][-1] if command != "distill" else "out/set"
    assert contents(workplace / name) == contents(world.folder / name)


@pytest.mark.parametrize("columns", [80, 120])
def test_tables_fit_a_terminal(world, workplace, monkeypatch, columns):
    """No figure and no name is cut; only paths may be longer than a line."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("CSDM_CACHE", str(world.folder / "cache"))
    for arguments in (COMMANDS["pretrain"], COMMANDS["evaluate"], COMMANDS["cross-arch"], ["profile", "data"]):
        shown = run(*arguments).stdout
        assert "…" not in shown
        table = [line for line in shown.splitlines() if "%" not in line and "gap" not in line]
        assert all(len(line) <= columns for line in table), shown
    for name in ("balanced-softmax", "tiled-random", "worst class"):
        assert name in run("report", "out/evaluation").stdout


def test_every_command_says_what_comes_next(world, workplace, monkeypatch):
    monkeypatch.setenv("CSDM_CACHE", str(world.folder / "cache"))
    assert "next: csdm distill --ipc" in run("make-lt").stderr
    assert "next: csdm distill out/data" in run(*COMMANDS["make-lt"]).stderr
    assert "next: csdm distill data --ipc 10 --teachers out/teachers" in run(*COMMANDS["pretrain"]).stderr
    assert "next: csdm evaluate out/set --data data" not in run(*COMMANDS["distill"]).stderr
    assert "next: csdm report" in run(*COMMANDS["evaluate"]).stderr


@pytest.mark.parametrize(
    ("optimizer", "further", "named"),
    [
        ("sgd", (), "csdm distill data --method mtt --ipc 10 --teachers out/experts"),
        ("gsam", (), "csdm distill data --method ftd --ipc 10 --teachers out/experts (or --method datm)"),
        ("gsam", ("--classifier-snapshots", "1"), "csdm distill data --method lad --ipc 10 --teachers out/experts"),
        ("sgd", ("--classifier-snapshots", "1"), "csdm distill data --method lad --ipc 10 --teachers out/experts"),
    ],
)
def test_after_experts_come_the_methods_that_they_are_made_for(workplace, optimizer, further, named):
    Path("params.yaml").write_text("pretrain: {width: 4, depth: 2}\n")
    short = ("--expert-snapshots", "2", "--snapshot-every", "1", "--expert-batch", "8")
    experts = ("pretrain", "data", "--experts", "1", *short, "--expert-optimizer", optimizer, *further)
    told = run(*experts, "--out", "out/experts").stderr.splitlines()
    assert told[-1] == f"next: {named}"


def test_experts_in_the_cache_are_hinted_at_in_the_same_words(workplace):
    Path("params.yaml").write_text("pretrain: {width: 4, depth: 2, experts: 1, expert_optimizer: gsam}\n")
    told = run("pretrain", "data", "--expert-snapshots", "2", "--snapshot-every", "1", "--expert-batch", "8").stderr
    assert "next: csdm distill data --method ftd --ipc 10 with the same pretrain settings" in told
    assert told.rstrip().endswith("(or --method datm)")


def test_a_place_with_spaces_is_one_word_of_what_comes_next(workplace):
    made = COMMANDS["make-lt"]
    assert made[-2:] == ["--out", "out/data"]
    assert "next: csdm distill 'some data' --ipc" in run(*made[:-1], "some data").stderr
    taught = run("pretrain", "some data", "--out", "some teachers").stderr
    assert "next: csdm distill 'some data' --ipc 10 --teachers 'some teachers'" in taught


def test_commands_that_a_report_names_can_be_typed_where_paths_have_spaces(world, workplace, monkeypatch):
    """A shell takes each place for one word."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///some place/mlflow.db")
    Path("some place").mkdir()
    Path("some place", "mlflow.db").touch()
    shutil.copytree(world.folder / "out" / "set", "a set")
    told = run("report", "a set", world.folder / "out" / "evaluation", "--out", "r.md").output
    (shown,) = re.findall(r"; (csdm show .*)\)", told)
    assert shlex.split(shown) == ["csdm", "show", "a set"]
    (ui,) = re.findall(r"mlflow ui .*", told)
    assert shlex.split(ui) == ["mlflow", "ui", "--backend-store-uri", "sqlite:///some place/mlflow.db"]


@pytest.mark.parametrize("split", ["test", "dev"])
def test_tables_tell_the_images_that_students_were_tested_on(workplace, split):
    for command, few in (("evaluate", ("--no-controls",)), ("cross-arch", ("--no-controls", "--networks", "convnet"))):
        shown = run(command, "set", "--data", "data", "--split", split, *few, "--out", f"out-{command}").stdout
        assert f"Accuracy in % on the {split} set" in shown and f"(Best step on the {split} images" in shown
    told = run("report", "out-evaluate", "out-cross-arch").stdout
    assert told.count(f"tested on the {split} set") == 2


def test_quiet_leaves_results_alone(workplace):
    result = run(*COMMANDS["distill"], "--quiet")
    assert result.stderr == "" and "out/set/distilled.safetensors" in result.stdout


def test_a_finished_run_is_not_run_again(workplace):
    first = run(*COMMANDS["distill"], "--json")
    file = Path("out/set/distilled.safetensors")
    written = file.stat().st_mtime_ns
    again = run(*COMMANDS["distill"], "--json")
    assert "already holds this run" in again.stderr and again.stdout == first.stdout
    assert file.stat().st_mtime_ns == written, "not even with the same bytes"


def test_distill_right_after_make_lt_trains_the_teachers_it_needs(workplace):
    """Nothing but the sizes of networks is given."""
    Path("small.yaml").write_text("pretrain: {width: 4, depth: 2, teachers: 2, epochs: 1, batch: 16}")
    small = ("--params", "small.yaml", "--iterations", 2, "--frequencies", 8, "--draws", 1)
    first = run("distill", "--ipc", 3, "--kernel", "rbf", *small)
    assert "long-tailed set: data" in first.stderr
    assert "teachers to train first: 2 of 2, 1 epoch each" in first.stderr
    assert "to train first" not in run("distill", "--ipc", 4, "--kernel", "rbf", *small).stderr


def test_runs_are_tracked_with_what_they_made(workplace, ready_store):
    from mlflow import MlflowClient

    run(*COMMANDS["distill"], "--tracking", "mlflow")
    fails(run("distill", "data", "--teachers", "nowhere", "--tracking", "mlflow", expect=None), 1, "nowhere")
    client = MlflowClient(ready_store)
    experiment = client.get_experiment_by_name("csdm").experiment_id
    runs = {run.info.status: run for run in client.search_runs([experiment])}
    assert set(runs) == {"FINISHED", "FAILED"}
    done = runs["FINISHED"].data
    assert done.tags["method"] == "csdm" and done.tags["fingerprint.distillation"]
    assert done.params["distill.ipc"] == "2" and done.metrics["peak_memory_bytes"] > 0
    history = client.get_metric_history(runs["FINISHED"].info.run_id, "loss/spectral")
    assert [metric.step for metric in history] == [0, 1, 2, 3]
    kept = {artifact.path for artifact in client.list_artifacts(runs["FINISHED"].info.run_id)}
    assert {"distilled.safetensors", "grid.png", "loss.png"} <= kept
