"""Every command on a set whose images are computed from other numbers, with labels and a step size learned with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import csdm_cli
from csdm_cli.artifacts.accounting import storage_of
from csdm_cli.artifacts.file import FILE_NAME, Coded, SoftLabels, load_distilled, save_distilled
from csdm_cli.names import Parameterization
from csdm_cli.parameterisations.choose import chosen
from csdm_cli.parameterisations.stored import described
from csdm_cli.runs import distill
from tests.command_world import FEW_STEPS, LEARNING_PARAMS, fails, run

RATE = 0.05


@pytest.fixture
def coded(workplace: Path) -> Path:
    """A folder with the world's set as coefficients, of IPC 2."""
    plain = load_distilled(Path("set"))
    shape = plain.shape
    real = [part / 255 for part in torch.randint(0, 256, (shape.classes, 9, shape.channels, 16, 16)).float()]
    form = chosen(Parameterization.frequency, shape, 2, lambda: real)
    start = torch.rand(shape.classes * form.per_class, shape.channels, 16, 16)
    rows = torch.randn(len(start), shape.classes).softmax(1)
    made = replace(
        plain,
        stored=form.stored(form.initial(start)),
        labels=torch.arange(shape.classes).repeat_interleave(form.per_class),
        decoding=Coded(described(form), 2, shape.size),
        evaluation=plain.evaluation | {"learned_rate": RATE},
        soft_labels=SoftLabels(rows, 1.0, "learning with the images"),
    )
    Path("coded").mkdir()
    save_distilled(Path("coded") / FILE_NAME, made)
    return workplace / "coded"


def test_it_is_shown_checked_and_exported(coded):
    distilled = load_distilled(coded)
    shown = json.loads(run("show", "coded", "--json").stdout)
    storage = storage_of(distilled)
    assert shown["schema"] == 2 and shown["parameterization"] == "frequency"
    assert shown["storage"] == {
        "numbers": storage.numbers,
        "bytes": storage.bytes,
        "ipc_equivalent": storage.ipc_equivalent,
    }
    assert set(shown["images"]["ipc"]) == {2} and shown["images"]["decoded"] == len(distilled.decoded())
    text = " ".join(run("show", "coded").stdout.split())
    assert "decoded from frequency coefficients (" in text and (coded / "grid.png").exists()
    assert f"{storage.bytes:,} bytes, as many as {storage.ipc_equivalent:.2f} images per class" in text
    assert "is sound" in run("verify", "coded").stdout
    run("export", "coded", "--to", "npz", "--out", "coded.npz")
    with np.load("coded.npz") as arrays:
        assert np.array_equal(arrays["images"], distilled.decoded().numpy())
    loaded = csdm_cli.load("coded")
    assert len(loaded.dataset()) == len(distilled.decoded()) and torch.equal(
        loaded.distilled.decoded(), distilled.decoded()
    )


def test_a_report_says_of_what_numbers_it_is(coded):
    run("evaluate", "coded", "--data", "data", "--no-controls")
    told = run("report", "coded", "coded/evaluate")
    method = load_distilled(coded).provenance.method
    assert f"{method}, frequency (soft labels)" in told.stdout
    assert f"by {method}, from frequency coefficients; csdm show coded" in told.stderr


def test_students_learn_from_it_and_at_its_step_size_in_a_row_of_their_own(coded):
    common = ("evaluate", "coded", "--data", "data", "--no-controls", "--json")
    plain = json.loads(run(*common, "--out", "plain").stdout)
    both = json.loads(run(*common, "--lr", "learned", "--out", "both").stdout)
    assert "learned_rate" not in plain
    learned = both.pop("learned_rate")
    assert both == plain and learned["lr"] == RATE and learned["accuracy"]["students"] == 2
    details = json.loads(Path("both/details.json").read_bytes())
    own, other = details["rows"]
    assert own.endswith("(soft labels)") and other.endswith("(soft labels, SGD at learned lr 0.05)")
    recipe = details["learned_protocol"]["recipe"]
    told = {"optimizer": "sgd", "lr": RATE, "momentum": 0.0, "weight_decay": 0.0, "schedule": "constant"}
    assert told.items() <= recipe.items() and recipe["batch"] == details["protocol"]["recipe"]["batch"]
    assert details["protocol"]["recipe"]["optimizer"] == "adamw"
    measured = details["measured"]
    assert measured["parameterization"] == "frequency" and measured["ipc"] == 2
    assert plain["storage"]["bytes"] == measured["storage_bytes"] == storage_of(load_distilled(coded)).bytes


@pytest.mark.parametrize("kind", [Parameterization.frequency, Parameterization.decomposition])
def test_distill_stores_all_that_lad_learned(workplace, monkeypatch, kind):
    """Against the run's own numbers: the leaves quantised, the labels' probabilities, the step size."""
    outcomes, optimised = [], distill.optimised

    def noted(*given):
        outcomes.append(optimised(*given))
        return outcomes[-1]

    monkeypatch.setattr(distill, "optimised", noted)
    Path("learning.yaml").write_text(LEARNING_PARAMS)
    words = ["--method", "lad", *FEW_STEPS["lad"], "--parameterization", kind, "--out", "learned"]
    run("distill", "data", *words, "--params", "learning.yaml")
    (outcome,), made = outcomes, load_distilled(Path("learned"))
    form = outcome.parameterisation
    stored = form.stored(dict(outcome.leaves))
    assert made.kind == kind and made.stored.keys() == stored.keys()
    assert all(torch.equal(made.stored[name], tensor) for name, tensor in stored.items())
    assert torch.equal(made.decoded(), form.opened(stored))
    probabilities = outcome.label_logits.detach().softmax(1)
    assert len(probabilities) == len(made.decoded()) and probabilities.std(0).min() > 0
    assert torch.equal(made.soft_labels.probabilities, probabilities)
    assert made.learned_rate == outcome.learned_rate != 0.02  # where it started
    save_distilled(Path("again.safetensors"), made)
    assert Path("again.safetensors").read_bytes() == (Path("learned") / FILE_NAME).read_bytes()


def test_a_step_size_that_was_not_learned(workplace):
    result = run("evaluate", "set", "--data", "data", "--lr", "learned", expect=None)
    fails(result, 2, "--lr learned: this set has no step size of its own")


def test_other_commands_have_one_recipe_for_all(workplace):
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("evaluate: {", "evaluate: {lr: learned, "))
    found = json.loads(run("cross-arch", "set", "--data", "data", "--out", "found", "--json").stdout)
    assert {recipe["recipe"]["lr"] for recipe in json.loads(Path("found/protocol.json").read_text()).values()} == {1e-3}
    assert set(found) == {"convnet", "alexnet"}
