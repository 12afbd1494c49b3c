"""The results of evaluate, found again beside the set that they are of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from csdm_cli.artifacts.distilled import set_hashes, soft_labels_sha256, stored_sha256
from csdm_cli.artifacts.file import save_distilled
from csdm_cli.artifacts.stored_evaluation import (
    StoredEvaluation,
    evaluation_beside,
    evaluation_in,
    is_of_a_replaced_set,
    read_evaluation,
)
from csdm_cli.errors import CsdmError
from tests.artifacts.sets import make_set


def write(folder, images: str, accuracy: object = None) -> None:
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"accuracy": accuracy or {"mean": 50.0}}))
    details = {"rows": {"dm (hard labels)": {}}, "protocol": {}, "measured": {"images_sha256": images}}
    (folder / "details.json").write_text(json.dumps(details))


def test_results_belong_to_the_set_of_the_same_images(tmp_path):
    made, other = make_set(), make_set(ipc=1)
    write(tmp_path / "found", stored_sha256(made))
    found = evaluation_in(tmp_path / "found", made)
    assert found.metrics["accuracy"]["mean"] == 50.0 and found.belongs_to(made) and not found.belongs_to(other)
    with pytest.raises(CsdmError, match="of another distilled set"):
        evaluation_in(tmp_path / "found", other)
    with pytest.raises(CsdmError, match="holds no results"):
        evaluation_in(tmp_path, made)


def told(of, **measured):
    """An evaluation of a set, as this version writes it unless told otherwise."""
    return StoredEvaluation({}, {"measured": {"images_sha256": stored_sha256(of)} | measured})


def test_a_twin_with_other_soft_labels_is_another_set():
    hard, soft = make_set(), make_set(soft=True)
    warmer = replace(soft, soft_labels=replace(soft.soft_labels, temperature=3.0))
    others = replace(soft, soft_labels=replace(soft.soft_labels, probabilities=soft.soft_labels.probabilities.flip(0)))
    sets = [hard, soft, warmer, others]
    for of in sets:
        found = told(of, labels="hard", soft_labels_sha256=soft_labels_sha256(of))
        assert [found.belongs_to(one) for one in sets] == [one is of for one in sets]


def test_older_results_tell_twins_apart_as_well_as_can_be():
    """By what students learnt from, and by the settings of a set that has soft labels."""
    hard, soft = make_set(), make_set(soft=True)
    soft.provenance.config["labels"] = "soft"
    config = dict(soft.provenance.config)
    for labels in ("hard", "teacher"):
        before = told(hard, labels=labels, config=dict(hard.provenance.config))
        assert before.belongs_to(hard) and not before.belongs_to(soft)
    before = told(soft, labels="soft", config=config)
    assert before.belongs_to(soft) and not before.belongs_to(hard)
    assert not told(soft, labels="soft", config=config | {"label_temperature": 3.0}).belongs_to(soft)


@pytest.mark.parametrize("place", ["set/evaluate", "evaluate"])
def test_they_are_found_beside_the_file_or_its_folder(tmp_path, place):
    made = make_set()
    write(tmp_path / place, stored_sha256(made))
    assert evaluation_beside(tmp_path / "set" / "distilled.safetensors", made) is not None
    assert evaluation_beside(tmp_path / "set" / "distilled.safetensors", make_set(ipc=1)) is None


def test_another_command_s_metrics_are_none_and_damaged_ones_are_told(tmp_path):
    write(tmp_path / "a", "x", {"mean": 1.0})
    (tmp_path / "a" / "metrics.json").write_text('{"alexnet": {}}')
    assert read_evaluation(tmp_path / "a") is None and read_evaluation(tmp_path) is None
    write(tmp_path / "b", "x", {"median": 1.0})
    with pytest.raises(CsdmError, match="damaged results: run csdm evaluate again"):
        read_evaluation(tmp_path / "b")


@pytest.mark.parametrize("told", [{"controls": 3}, {"controls": {"random": {}}}, {"inheritance": {"rows": [1]}}])
def test_damage_in_any_row_is_told(tmp_path, told):
    write(tmp_path / "a", "x")
    (tmp_path / "a" / "metrics.json").write_text(json.dumps({"accuracy": {"mean": 50.0}} | told))
    with pytest.raises(CsdmError, match="damaged results: run csdm evaluate again"):
        read_evaluation(tmp_path / "a")


def across(tmp_path, told) -> bool:
    """Whether cross-arch, whose files tell ``told``, is found to have measured another set than lies beside it."""
    folder = tmp_path / "cross_arch"
    folder.mkdir(exist_ok=True)
    (folder / "protocol.json").write_text(told if isinstance(told, str) else json.dumps(told))
    return is_of_a_replaced_set(folder)


def test_results_of_other_architectures_are_of_the_set_that_they_name(tmp_path, monkeypatch):
    made, twin = make_set(), make_set(soft=True)
    told = {"convnet": {"steps": 2, "measured": set_hashes(made)}}
    assert not across(tmp_path, told)  # no set lies there
    save_distilled(tmp_path / "distilled.safetensors", made)
    assert not across(tmp_path, told)
    assert across(tmp_path, {"convnet": {"measured": set_hashes(twin)}})
    monkeypatch.chdir(tmp_path / "cross_arch")
    assert is_of_a_replaced_set(Path())
    assert across(tmp_path, {"convnet": {"measured": set_hashes(make_set(ipc=1))}})


def test_results_of_other_architectures_that_name_no_set_pass_for_its_own_and_damage_is_told(tmp_path):
    save_distilled(tmp_path / "distilled.safetensors", make_set())
    assert not across(tmp_path, {"convnet": {"steps": 2}})
    (tmp_path / "cross_arch" / "protocol.json").unlink()
    assert not is_of_a_replaced_set(tmp_path / "cross_arch")
    for damaged in ("", "[3]", '{"convnet": 3}', '{"convnet": {"measured": 3}}'):
        with pytest.raises(CsdmError, match="run csdm cross-arch again"):
            across(tmp_path, damaged)
