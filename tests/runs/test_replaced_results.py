"""The results that evaluate writes over are named where they are other ones."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from csdm_cli.artifacts.distilled import set_hashes
from csdm_cli.artifacts.file import save_distilled
from csdm_cli.runs.replaced_results import replaced_on_networks, replaced_results, told_of
from tests.artifacts.sets import make_set
from tests.command_world import run

MADE = make_set()
PROTOCOL = {"students": 2, "steps": 4, "recipe": {"lr": 0.1}, "network": {"name": "convnet", "width": 4}}
SETTINGS = {"controls": True, "fairness": False, "split": "test"}
TOLD = "csdm (hard labels), tested on the test set, 2 students, convnet of width 4, 4 steps"


def task(of=MADE, protocol=PROTOCOL, **asked):
    """An evaluation before it is done, with all that is looked at here."""
    own = {name: asked.pop(name, None) for name in ("inheritance", "learned", "labeller")}
    return SimpleNamespace(
        settings=SimpleNamespace(**SETTINGS | asked),
        described=protocol,
        labels=asked.get("labels", "hard"),
        case=SimpleNamespace(distilled=of),
        **own,
    )


@pytest.fixture
def folder(tmp_path):
    """Results of ``task()`` in the folder that evaluate takes unless told otherwise."""
    place = tmp_path / "evaluate"
    place.mkdir()
    metrics = {"accuracy": {"mean": 40.0}, "method": "csdm", "labels": "hard", "split": "test", "controls": {}}
    rows = {"csdm (hard labels)": {}}
    details = {"protocol": PROTOCOL, "rows": rows, "measured": set_hashes(MADE) | {"labelled_by": None}}
    (place / "metrics.json").write_text(json.dumps(metrics))
    (place / "details.json").write_text(json.dumps(details))
    return place


def test_the_same_evaluation_again_replaces_nothing(folder, tmp_path):
    assert replaced_results(folder, task()) is None
    assert replaced_results(tmp_path / "nowhere", task()) is None


@pytest.mark.parametrize(
    "other",
    [
        {"protocol": PROTOCOL | {"steps": 5}},
        {"protocol": PROTOCOL | {"recipe": {"lr": 0.2}}},
        {"protocol": PROTOCOL | {"probed": {"network": "key"}}},
        {"split": "dev"},
        {"labels": "soft"},
        {"labeller": SimpleNamespace(key="teachers")},
        {"of": make_set(ipc=1)},
    ],
)
def test_another_protocol_split_or_set_is_told(folder, other):
    assert replaced_results(folder, task(**other)) == TOLD


def test_rows_that_do_not_come_again_are_told(folder):
    assert replaced_results(folder, task(controls=False)) == f"{TOLD}, with controls"
    metrics = json.loads((folder / "metrics.json").read_text())
    more = {"inheritance": {"rows": {}}, "fairness": {}, "learned_rate": {"accuracy": {"mean": 1.0}, "lr": 0.1}}
    (folder / "metrics.json").write_text(json.dumps(metrics | more))
    text = f"{TOLD}, with fairness and inheritance and learned rate"
    assert replaced_results(folder, task()) == text
    assert replaced_results(folder, task(fairness=True, inheritance=object(), learned=object())) is None


def test_results_of_a_set_that_is_gone_and_damaged_ones_are_no_loss(folder):
    save_distilled(folder.parent / "distilled.safetensors", make_set(ipc=1))
    assert replaced_results(folder, task(of=make_set(ipc=1))) is None
    (folder.parent / "distilled.safetensors").unlink()
    for name, damaged in (("details.json", "{"), ("details.json", '{"protocol": 3, "rows": {}}'), ("metrics.json", "")):
        (folder / name).write_text(damaged)
        assert replaced_results(folder, task(split="dev")) is None


def test_evaluate_says_so_before_it_begins_and_not_of_its_own(workplace):
    words = ["evaluate", "set", "--data", "data", "--no-controls", "--students", "1"]
    assert "warning" not in run(*words).stderr and "warning" not in run(*words).stderr
    told = run(*words, "--split", "dev", "--quiet").stderr.splitlines()
    assert len(told) == 1 and told[0].startswith("warning: set/evaluate holds other results, which these replace")
    assert told[0].endswith(
        "(--out DIR keeps both): csdm (hard labels), tested on the test set, 1 student, convnet of width 4, 4 steps"
    )


ON = {"convnet": PROTOCOL, "alexnet": PROTOCOL | {"network": {"name": "alexnet", "width": 4}}}


def across(protocols=ON, controls=True, split="test", labels="hard", of=MADE):
    """An evaluation on networks or backbones before it is done, with all that is looked at here."""
    return SimpleNamespace(
        protocols=protocols,
        controls=controls,
        recipe=SimpleNamespace(split=split),
        labels=labels,
        case=SimpleNamespace(distilled=of),
    )


def results_on_networks(folder):
    scores = {"accuracy": {"mean": 40.0}, "split": "test", "random": {"accuracy": {"mean": 20.0}}}
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(dict.fromkeys(ON, scores)))
    (folder / "protocol.json").write_text(json.dumps(told_of(across())))
    return folder


def test_networks_whose_results_do_not_come_again_are_told(tmp_path):
    folder = results_on_networks(tmp_path / "cross_arch")
    assert replaced_on_networks(tmp_path / "nowhere", across()) is None
    assert replaced_on_networks(folder, across()) is None
    assert replaced_on_networks(folder, across({**ON, "vgg11": PROTOCOL})) is None
    assert replaced_on_networks(folder, across({"convnet": PROTOCOL})) == "alexnet"
    assert replaced_on_networks(folder, across({**ON, "convnet": PROTOCOL | {"steps": 5}})) == "convnet"
    for other in ({"controls": False}, {"split": "dev"}, {"labels": "soft"}, {"of": make_set(ipc=1)}):
        assert replaced_on_networks(folder, across(**other)) == "convnet, alexnet"


def test_results_on_networks_of_a_set_that_is_gone_and_damaged_ones_are_no_loss(tmp_path):
    folder = results_on_networks(tmp_path / "cross_arch")
    save_distilled(tmp_path / "distilled.safetensors", make_set(ipc=1))
    assert replaced_on_networks(folder, across(of=make_set(ipc=1))) is None
    (tmp_path / "distilled.safetensors").unlink()
    (folder / "protocol.json").write_text('{"convnet": {}}')
    assert replaced_on_networks(folder, across(split="dev")) is None


def test_cross_arch_says_so_before_it_begins_and_not_of_its_own(workplace):
    words = ["cross-arch", "set", "--data", "data", "--no-controls", "--networks"]
    assert "warning" not in run(*words, "convnet").stderr and "warning" not in run(*words, "convnet").stderr
    told = run(*words, "alexnet", "--quiet").stderr.splitlines()
    assert told == [
        "warning: set/cross_arch holds other results, which these replace (--out DIR keeps both): on convnet"
    ]
