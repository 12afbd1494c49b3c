"""The results of evaluate, found again beside the set that they are of."""

from __future__ import annotations

import json

import pytest

from csdm_cli.artifacts.distilled import stored_sha256
from csdm_cli.artifacts.stored_evaluation import evaluation_beside, evaluation_in, read_evaluation
from csdm_cli.errors import CsdmError
from tests.artifacts.sets import make_set


def write(folder, images: str, accuracy: object = None) -> None:
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"accuracy": accuracy or {"mean": 50.0}}))
    details = {"rows": {}, "protocol": {}, "measured": {"images_sha256": images}}
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
