"""Typed commands lead back to the settings they were made from."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from csdm_cli import commands
from csdm_cli.cli.app import app
from csdm_cli.ledger.shell_commands import typed_commands
from csdm_cli.names import Precision
from csdm_cli.networks.numerics import Numerics
from csdm_cli.runs.choose import settled
from csdm_cli.runs.method_options import make_method
from csdm_cli.settings import sections as config

MAKE_LT = config.MakeLt(imbalance=50, n_max=500, dev=5)
PRETRAIN = config.Pretrain(width=16, teachers=2, loss="cross-entropy")
EVALUATE = config.Evaluate(steps=50, students=2)


def sections(**distill: object) -> dict[str, dict]:
    chosen = config.Distill(**distill)
    complete = settled(chosen, make_method(chosen))
    parts = {"make_lt": MAKE_LT, "pretrain": PRETRAIN, "distill": complete, "evaluate": EVALUATE}
    return {name: part.model_dump(mode="json") for name, part in parts.items()}


@pytest.fixture
def understood(monkeypatch):
    """The settings that csdm takes from a typed line."""

    def settings_of(line: str) -> config.Section:
        words, received = shlex.split(line)[1:], []
        module = SimpleNamespace(run=lambda settings, *_, **__: received.append(settings))
        monkeypatch.setattr(commands, words[0].replace("-", "_"), module, raising=False)
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        return received[0]

    return settings_of


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"ipc": 3, "kernel": "matern", "kernel_shape": 0.7, "iterations": 0, "resample": False},
        {"method": "dm", "labels": "soft", "prior_calibration": "auto", "calibration": 0.25},
        {"real": "fresh", "real_batch": 7, "option": {}, "teacher_schedule": "interpolate"},
        {"method": "random", "labels": "soft", "temperature": 3},
    ],
)
def test_distillation(chosen, understood):
    wanted = sections(**chosen)
    make_lt, pretrain, distill, evaluate = typed_commands(wanted, "parquet", 3)
    assert "--data-dir DIR" in make_lt
    assert understood(make_lt) == MAKE_LT.model_copy(update={"data_dir": Path("DIR")})
    found = understood(distill.replace("SEED", "0"))
    assert settled(found, make_method(found)).model_dump(mode="json") == wanted["distill"]
    assert understood(pretrain) == PRETRAIN
    assert understood(evaluate.replace("SEED", "0")) == EVALUATE


def test_images_of_ones_own_are_read_as_they_were(understood):
    """Characters that a shell would take for its own are quoted."""
    read_as = {"train_list": "my list.csv", "group_by": r"(\d+)_\d+\.png", "classes": ["stop", "no entry"]}
    own = config.MakeLt(dataset="folder", data_dir="DIR", dev=30, **read_as)
    wanted = sections() | {"make_lt": own.model_dump(mode="json") | {"data_dir": None}}
    assert understood(typed_commands(wanted, "image list", 1)[0]) == own


def test_what_would_be_refused_is_not_typed():
    """A params file may set it for the other methods of a comparison."""
    *_, distill, _ = typed_commands(sections(method="dm", temperature=4, alpha_head=0.9), "torchvision", 1)
    assert "--method dm" in distill and "--temperature" not in distill and "--alpha-head" not in distill


def test_what_was_not_computed_plainly_is_typed():
    own = {"distill": Numerics(Precision.bf16, compiled=True), "evaluate": Numerics(channels_last=True)}
    *_, distill, evaluate = typed_commands(sections(), "torchvision", 1, own)
    assert distill.endswith(" --precision bf16 --compile") and evaluate.endswith(" --channels-last")
    compare = typed_commands(sections(method="random"), "torchvision", 1, {"evaluate": own["evaluate"]})[-1]
    assert compare.endswith(" --channels-last")


def test_sets_without_teachers_are_compared(understood):
    """Only compare can name the students' network for them."""
    make_lt, compare = typed_commands(sections(method="tiled-random", factor=3), "torchvision", 2)
    assert "DIR" not in make_lt
    assert "--methods tiled-random --ipc 10 --seeds 2" in compare
    for setting in ("pretrain.width=16", "evaluate.steps=50", "evaluate.students=2", "distill.factor=3"):
        assert f"--set {setting}" in compare
    assert "pretrain.teachers" not in compare and "distill.iterations" not in compare
    assert understood(compare).methods == ["tiled-random"]


def test_training_without_teachers_is_told_with_all_its_settings(understood):
    """Carried out, the commands make the row's sets in the precision they had, and judge them in that of students."""
    wanted = sections(method="dsa", iterations=3, lr=0.02, option={"outer": 2, "inner": 1}, augment_mode="compose")
    own = {"evaluate": Numerics(Precision.bf16)}
    _, network, distill, evaluate = typed_commands(wanted, "torchvision", 2, own)
    assert network == "echo 'pretrain: {width: 16}' > network.yaml"
    assert "--params network.yaml" in distill and "--precision" not in distill and "--precision bf16" in evaluate
    found = understood(distill.replace("SEED", "0").replace("--params network.yaml", ""))
    told = settled(found, make_method(found)).model_dump(mode="json")
    assert told | {"option": None} == wanted["distill"] | {"option": None}
    assert make_method(found).parameters == make_method(config.Distill.model_validate(wanted["distill"])).parameters
    assert understood(evaluate.replace("SEED", "0")) == EVALUATE
