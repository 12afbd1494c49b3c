"""Backbones and their linear probes, from one command to the next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_world import fails, run

PROBE = ["--protocol", "probe", "--data", "data", "--probe-epochs", "3", "--students", "2"]


def accuracies(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture
def backbone(workplace: Path) -> Path:
    run("pretrain", "data", "--network", "patch-kmeans", "--centres", "5", "--epochs", "2", "--out", "backbone")
    return workplace / "backbone"


@pytest.mark.slow
def test_from_a_backbone_to_its_probes_and_the_report(backbone):
    run("distill", "data", "--teachers", "backbone", "--method", "sfm", "--out", "flows")
    run("evaluate", "flows", *PROBE[2:], "--out", "found")  # a backbone made the set: its probes are the students
    found, details = accuracies(Path("found")), json.loads(Path("found/details.json").read_text())
    assert "nearest to centroid" in found["controls"] and found["best_full_control"].startswith("full")
    assert details["protocol"]["probed"]["features"] == "cached"
    assert details["protocol"]["network"]["frozen"]["centres"] == 5
    run("report", "flows", "found", "--out", "report.md")
    run("report", "flows", "found", "--html", "--out", "page.html")
    named = run("evaluate", "flows", *PROBE, "--teachers", "backbone", "--out", "named")
    assert named.exit_code == 0 and accuracies(Path("named")) == found
    run("evaluate", "flows", *PROBE, "--network", "convnet", "--inherit", "--no-controls", "--out", "heir")
    inherited = accuracies(Path("heir"))["inheritance"]
    assert "random + inheritance" in inherited["rows"] and inherited["stored"]["classifier_bytes"] == 4 * 10 * 21
    run("evaluate", "flows", *PROBE, "--inherit", "--no-controls", "--out", "same", "--tracking", "mlflow")
    rows = accuracies(Path("same"))["inheritance"]["rows"].values()
    assert len({row["accuracy"]["mean"] for row in rows}) == 1  # the classifier's, whatever the images are
    fails(run("cross-arch", "flows", "--networks", "patch-kmeans", expect=None), 2, "frozen backbone")
    fails(run("evaluate", "flows", "--protocol", "students", expect=None), 2, "name another network")
    fails(run("evaluate", "flows", *PROBE, "--lr", "1", expect=None), 2, "--lr has no effect with --protocol probe")
    fails(run("evaluate", "flows", *PROBE, "--augment", "flip", expect=None), 2, "cached features")


@pytest.mark.slow
def test_a_set_on_several_backbones_has_all_controls_and_inheritance_on_each(backbone):
    run("pretrain", "data", "--network", "patch-kmeans", "--centres", "6", "--epochs", "2", "--out", "other")
    run("distill", "data", "--teachers", "backbone", "--method", "sfm", "--ipc", "1", "--out", "flows")
    both = ["--backbone", "backbone", "--backbone", "other", "--probe-epochs", "3", "--students", "2"]
    shown = run("cross-arch", "flows", "--data", "data", *both, "--inherit", "--out", "others")
    found = accuracies(Path("others"))
    run("evaluate", "flows", *PROBE, "--teachers", "other", "--inherit", "--out", "alone")
    alone = accuracies(Path("alone"))
    assert set(found) == {"backbone", "other"} and {name: found["other"][name] for name in alone} == alone
    assert found["other"]["random"] == alone["controls"]["random"]
    rows = found["other"]["inheritance"]["rows"]
    assert {"sfm + inheritance", "random + inheritance", "random, 10 per class + inheritance"} <= set(rows)
    assert "other: nearest to centroid" in shown.stdout and "linear probes of 3 epochs" in shown.stdout
    run("report", "flows", "others", "--html", "--out", "page.html")
    few = [*both[:2], "--no-controls", "--students", "1"]
    assert "random" not in json.loads(run("cross-arch", "flows", "--data", "data", *few, "--json").stdout)["backbone"]
    for option, where in (("--networks=convnet", "with"), ("--steps=3", "with")):
        fails(run("cross-arch", "flows", *both, option, expect=None), 2, f"has no effect {where} --backbone")
    fails(run("cross-arch", "flows", "--inherit", expect=None), 2, "--inherit has no effect without --backbone")


@pytest.mark.slow
def test_the_teachers_of_a_set_can_be_probed_and_live_features_differ(workplace):
    run("evaluate", "set", *PROBE, "--no-controls", "--out", "cached")
    run("evaluate", "set", *PROBE, "--no-controls", "--probe-features", "live", "--out", "live")
    run("evaluate", "set", *PROBE, "--no-controls", "--network", "patch-kmeans", "--out", "other")
    one, two, other = (json.loads(Path(name, "details.json").read_text()) for name in ("cached", "live", "other"))
    assert one["protocol"]["network"]["name"] == "convnet" and one["protocol"]["recipe"]["augment"] == "none"
    assert two["protocol"]["recipe"]["augment"] == "crop_scale"
    assert other["protocol"]["network"]["frozen"]["centres"] == 800


def test_what_has_no_effect_is_refused(workplace):
    fails(run("evaluate", "set", "--probe-epochs", "3", expect=None), 2, "--probe-epochs has no effect")
    fails(run("evaluate", "set", "--teachers", "teachers", expect=None), 2, "no effect here")
    fails(run("evaluate", "set", *PROBE, "--fairness", expect=None), 2, "fairness")
    fails(
        run("evaluate", "set", *PROBE, "--teachers", "teachers", "--network", "convnet", expect=None),
        *(2, "give one of them"),
    )
    for option, value in {"lr": 1, "teachers": 2, "augment": "flip", "batch": 3}.items():
        result = run("pretrain", "data", "--network", "patch-kmeans", f"--{option}", value, expect=None)
        fails(result, 2, f"--{option} has no effect: patch-kmeans is a frozen backbone")
    fails(run("pretrain", "data", "--centres", "5", expect=None), 2, "--centres has no effect on convnet")
    fails(run("pretrain", "data", "--input-size", "5", expect=None), 2, "--input-size has no effect: convnet")
    fails(
        run("pretrain", "data", "--network", "patch-kmeans", "--weights", "w.pt", expect=None),
        *(2, "--weights has no effect on patch-kmeans"),
    )
    fails(run("pretrain", "data", "--weights", "w.pt", expect=None), 1, "there is no such file")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--lr", "1"], "--lr has no effect: convnet is trained without labels: use --objective-lr"),
        (["--batch", "3"], "use --objective-batch"),
        (["--cutmix", "0.1"], "--cutmix has no effect: convnet is a frozen backbone"),
        (["--teachers", "3"], "--teachers has no effect: convnet is a frozen backbone"),
        (["--input-size", "8"], "--input-size has no effect: convnet is trained on images as they are"),
        (["--centres", "5"], "--centres has no effect on convnet"),
        (["--precision", "bf16"], "has no effect on a frozen backbone"),
        (["--experts", "2"], "--objective has no effect on experts"),
        (["--weights", "w.pt"], "weights and objective both say where a backbone's weights are from"),
        (["--network", "patch-kmeans"], "objective trains a network without labels, and patch-kmeans is never trained"),
        (["--views", "crop_blur"], "crop, flip, color, grey"),
        (["--objective-batch", "1"], "--objective-batch"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_training_without_labels_does_not_read_is_refused(workplace, words, told):
    fails(run("pretrain", "data", "--objective", "vicreg", *words, expect=None), 2, told)


def test_what_only_training_without_labels_reads_is_refused_elsewhere(workplace):
    for option, value in {"views": "crop", "projector": 3, "objective-batch": 4, "objective-lr": 1}.items():
        result = run("pretrain", "data", f"--{option}", value, expect=None)
        fails(result, 2, f"--{option} has no effect without --objective")


def test_from_training_without_labels_to_a_set_that_tells_of_it(workplace):
    pytest.importorskip("lightly")
    small = ["--width", "4", "--depth", "2", "--steps", "2", "--objective-batch", "8", "--projector", "8"]
    run("pretrain", "data", "--objective", "simclr", *small, "--views", "crop", "--out", "unlabelled")
    run("distill", "data", "--teachers", "unlabelled", "--method", "sfm", "--iterations", "2", "--out", "flows")
    run("evaluate", "flows", *PROBE[2:], "--no-controls", "--out", "found")
    network = json.loads(Path("found/details.json").read_text())["protocol"]["network"]
    assert network["frozen"]["pretext"]["objective"] == "simclr" and network["frozen"]["pretext"]["steps"] == 2
    assert network["frozen"]["origin"] == "trained by simclr on the training images, without their labels"


def test_a_backbone_has_no_training_to_look_through(backbone):
    result = run("distill", "data", "--teachers", "backbone", "--teacher-schedule", "interpolate", expect=None)
    fails(result, 2, "patch-kmeans is never trained")
    (Path("params.yaml")).write_text("pretrain: {network: patch-kmeans, centres: 5, epochs: 1}")
    for method in ("dc", "forgetting"):
        words = ["--method", method, "--iterations", "1"] if method == "dc" else ["--method", method]
        fails(run("distill", "data", *words, "--ipc", "1", expect=None), 2, "never trained")
    idm = ["--method", "idm", "--option", "pool=2", "--ipc", "1", "--iterations", "1"]
    fails(run("distill", "data", *idm, expect=None), 2, "never trained")


@pytest.mark.slow
def test_a_pipeline_goes_through_with_a_backbone_in_the_place_of_teachers(workplace):
    """As ``dvc exp run -S pretrain.network=patch-kmeans`` runs it: the settings of trained teachers are not read."""
    text = (workplace / "params.yaml").read_text()
    (workplace / "params.yaml").write_text(
        text.replace("pretrain: {", "pretrain: {network: patch-kmeans, centres: 4, ")
    )
    run("pretrain", "data", "--out", "backbone")
    shared = ["--teachers", "backbone", "--out"]
    run("distill", "data", *shared, "set2")
    run("evaluate", "set2", "--data", "data", "--probe-epochs", "2", "--out", "evaluation")
    assert json.loads(Path("evaluation/details.json").read_text())["protocol"]["probed"]
    run("cross-arch", "set2", "--data", "data", "--out", "others")
    run("profile", "data", *shared, "costs")
    words = ["--methods", "dm", "--ipc", "1", "--seeds", "1", "--params", "params.yaml"]
    run("compare", "--data", "data", *words, *shared, "table")
    told = "".join(path.read_text() for path in Path("table").glob("*.json"))
    assert '"name": "convnet"' in told  # the students', for a backbone cannot be one


@pytest.mark.slow
def test_weights_from_a_file_make_any_network_a_backbone(workplace):
    import torch
    import torchvision

    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), "w.pt")
    own = ["--network", "torchvision:resnet18", "--weights", "w.pt", "--input-size", "32", "--epochs", "1"]
    run("pretrain", "data", *own, "--out", "backbone")
    pool = json.loads(Path("backbone/pool.json").read_text())
    assert pool["spec"]["frozen"]["origin"] == "the file w.pt" and pool["spec"]["frozen"]["size"] == 32
    for method in ("sfm", "lgm"):
        words = ["--teachers", "backbone", "--method", method, "--ipc", "1", "--iterations", "1", "--factor", "1"]
        run("distill", "data", *words, "--out", method)
        result = run("evaluate", method, "--data", "data", "--probe-epochs", "1", "--no-controls", "--out", "found")
        assert "linear probes of torchvision:resnet18 (the file w.pt)" in result.stdout
    Path("w.pt").unlink()  # the pool in the cache has the weights
    run("evaluate", "sfm", "--data", "data", "--probe-epochs", "2", "--no-controls", "--out", "again")
