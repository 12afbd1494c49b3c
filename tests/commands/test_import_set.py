"""Sets of other tools become sets of csdm on which the other commands work."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from csdm_cli.artifacts.file import load_distilled
from csdm_cli.data.store import open_longtail
from csdm_cli.evaluation.controls import Selection, random_images
from csdm_cli.evaluation.scores import share_of_gap_closed
from tests.command_world import break_writes, contents, fails, run


@pytest.fixture
def real(workplace):
    """Two real images of each class, (20, 1, 16, 16) in [0, 1], and their labels."""
    train = open_longtail(Path("data")).train()
    starts = torch.tensor(train.offsets[:-1])
    rows = torch.stack([starts, starts + 1], 1).flatten()
    return train.images[rows].float() / 255, train.labels[rows]


def bring(*arguments):
    return json.loads(run("import", *arguments, "--data", "data", "--json").stdout)


def test_a_result_of_dm_is_shown_evaluated_and_exported(real):
    images, labels = real
    manifest = open_longtail(Path("data")).manifest
    stored = (images - manifest.mean[0]) / manifest.std[0]
    accuracies = {"ConvNet": [np.float64(0.5)]}
    torch.save({"data": [[1 - stored, labels], [stored, labels]], "accs_all_exps": accuracies}, "res_DM.pt")
    found = bring("res_DM.pt", "--experiment", 2, "--normalised", "--method", "DM", "--out", "dm")
    assert found["ipc"] == [2] * 10 and "experiment 2 of 2 was taken" in found["notes"]
    assert Path("dm/grid.png").is_file()
    again = load_distilled(Path("dm"))
    torch.testing.assert_close(again.images, images, rtol=0, atol=1e-5)
    assert again.provenance.method == "DM" and again.dataset.test_fingerprint == manifest.fingerprints["test"]

    run("verify", "dm")
    assert "DM, seed 0" in run("show", "dm").stdout
    evaluated = json.loads(run("evaluate", "dm", "--data", "data", "--fairness", "--json").stdout)
    options = ("--images", "res_DM.pt", "--experiment", 2, "--normalised", "--data", "data", "--out", "direct")
    direct = json.loads(run("evaluate", *options, "--json").stdout)
    assert evaluated["accuracy"] == direct["accuracy"] and evaluated["controls"] == direct["controls"]
    assert "LRS" in run("evaluate", "dm", "--data", "data", "--fairness").stdout
    assert set(json.loads(run("cross-arch", "dm", "--data", "data", "--json").stdout)) == {"convnet", "alexnet"}
    run("export", "dm", "--to", "imagefolder", "--out", "folder")
    assert bring("folder", "--out", "again")["ipc"] == [2] * 10


def test_unequal_counts_are_a_range_and_the_controls_have_the_same_total(real):
    images, labels = real
    keep = torch.tensor([0, 1, *range(2, 18, 2)])  # two of the first class, one of the others, none of the last
    torch.save([images[keep], labels[keep]], "unequal.pt")
    imported = run("import", "unequal.pt", "--data", "data", "--out", "brought")
    assert "10 images of 10 classes, 0 to 2 per class" in imported.stdout
    assert "no image of 1 of its classes: 9" in imported.stderr
    assert "0 to 2 per class" in run("show", "brought").stdout
    result = run("evaluate", "brought", "--data", "data")
    assert "IPC 0 to 2" in result.stdout and "no image of 1 of its classes: 9" in result.stderr


def test_whitened_sets_are_refused_or_undone(real):
    from csdm_cli.foreign.whitening import Whitening

    images, labels = real
    whitening = Whitening.fit(open_longtail(Path("data")).train().images)
    torch.save([whitening.apply(images) * 2, labels], "odd.pt")
    torch.save([whitening.apply(images), labels], "white.pt")
    fails(run("import", "odd.pt", "--data", "data", "--out", "brought", expect=None), 2, "--zca")
    bring("white.pt", "--zca", "--out", "brought")
    torch.testing.assert_close(load_distilled(Path("brought")).images, images, rtol=0, atol=1e-5)
    both = run("import", "white.pt", "--zca", "--normalised", "--data", "data", expect=None)
    fails(both, 2, "exclude each other")


def test_what_is_there_is_not_overwritten(real):
    torch.save(list(real), "set.pt")
    bring("set.pt", "--out", "mine")
    before = Path("mine/distilled.safetensors").read_bytes()
    fails(run("import", "set.pt", "--data", "data", "--out", "mine", expect=None), 2, "choose another --out")
    assert Path("mine/distilled.safetensors").read_bytes() == before
    assert bring("set.pt")["file"] == "artifacts/imported-set/distilled.safetensors"


@pytest.mark.parametrize("files", [0, 1])
def test_what_was_cut_off_is_made_by_the_same_command(real, files):
    torch.save(list(real), "set.pt")
    whole = contents(Path(bring("set.pt", "--out", "whole")["file"]).parent)
    words = ("import", "set.pt", "--data", "data", "--out", "brought")
    with break_writes(files):
        fails(run(*words, expect=None), 1, "space")
    assert contents(Path("brought")).keys() == {*["grid.png"][:files]}
    run(*words)
    assert contents(Path("brought")) == whole and whole.keys() == {"grid.png", "distilled.safetensors"}


def test_the_same_file_gives_the_same_bytes(real):
    torch.save(list(real), "set.pt")
    files = [Path(bring("set.pt", "--out", name)["file"]) for name in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_names_of_strangers_do_nothing_on_the_screen(real):
    images, labels = real
    for label in labels.unique().tolist():
        folder = Path("pictures") / f"{label}\x1b[31m[red]"
        folder.mkdir(parents=True)
        Image.fromarray((images[2 * label, 0] * 255).to(torch.uint8).numpy()).save(folder / "a.png")
    shown = run("import", "pictures", "--data", "data", "--out", "brought").stdout
    assert "\x1b[31m" not in shown and "\\x1b[31m[red]" in shown


def test_an_imported_set_is_a_row_of_a_comparison(real):
    torch.save(list(real), "set.pt")
    bring("set.pt", "--method", "DM", "--out", "dm")
    compare = ("compare", "--data", "data", "--methods", "herding", "--seeds", 1, "--set", "evaluate.students=2")
    compare += ("--set", "evaluate.steps=4", "--set", "evaluate.test_points=2", "--with", "dm")
    fails(run(*compare, "--ipc", 1, "--params", "params.yaml", expect=None), 2, "add 2 to --ipc")
    told = json.loads(run(*compare, "--ipc", 2, "--params", "params.yaml", "--json").stdout)
    (table,) = told["tables"].values()
    rows = {row["name"]: row for row in table["rows"]}
    assert list(rows)[:2] == ["herding", "DM, dm"] and "random" in rows and not rows["DM, dm"]["control"]
    assert rows["DM, dm"]["protocol"] == rows["herding"]["protocol"]
    assert rows["DM, dm"]["share_of_gap_closed"] is not None or rows["herding"]["share_of_gap_closed"] is None


def test_a_set_of_unequal_counts_has_controls_of_its_own_in_a_comparison(real):
    """Random images of the same seed, as many of each class: they score what its control scores."""
    counts = (2, *(1,) * 8, 0)
    train, chosen = open_longtail(Path("data")).train(), Selection.like(counts, 1, seed=0)
    torch.save([random_images(train, chosen), chosen.labels(10)], "unequal.pt")
    bring("unequal.pt", "--method", "DM", "--out", "few")
    compare = ("compare", "--data", "data", "--methods", "herding", "--seeds", 1, "--set", "evaluate.students=2")
    compare += ("--set", "evaluate.steps=4", "--set", "evaluate.test_points=2", "--with", "few", "--params")
    told = json.loads(run(*compare, "params.yaml", "--ipc", 2, "--json").stdout)
    (table,) = told["tables"].values()
    rows = {row["name"]: row for row in table["rows"]}
    own, control, plain = rows["DM, few"], rows["random, as DM, few"], rows["random"]
    assert own["scores"] == control["scores"] != plain["scores"]
    assert own["stored_numbers"] == control["stored_numbers"] == 10 * train.images[0].numel()
    assert plain["stored_numbers"] == 20 * train.images[0].numel()
    assert control["control"] and control["sets"][0]["file"] is None

    def accuracy(row):
        return row["scores"]["accuracy"]["mean"]

    full = max(accuracy(row) for row in table["rows"] if row["method"] is None)
    for row, random in ((own, control), (rows["herding"], plain)):
        expected = share_of_gap_closed(accuracy(row), accuracy(random), full)
        assert row["share_of_gap_closed"] == pytest.approx(expected, abs=1e-3)
