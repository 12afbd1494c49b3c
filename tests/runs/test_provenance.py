"""The account that results give of the long-tailed set they came from."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from csdm_cli.artifacts.distilled import DatasetInfo
from csdm_cli.runs.provenance import RECIPE, dataset_info, facts_of
from csdm_cli.settings.sections import Evaluate, MakeLt

MANIFEST = SimpleNamespace(
    dataset="toy",
    class_names=("a", "b"),
    counts=(5, 1),
    mean=(0.5,),
    std=(0.2,),
    fingerprints={"train": "t", "test": "e", "dev": "d"},
    n_max=5,
    imbalance=5.0,
    profile="step",
    class_order="natural",
    split="random",
    seed=3,
    dev_per_class=2,
    channels=1,
    size=8,
    jpeg=False,
    origin="folder",
    folder="/home/me",
    read_as={"train_list": "train.txt"},
)


def test_an_artifact_tells_the_fingerprints_of_what_it_is_tested_on():
    found = dataset_info(SimpleNamespace(manifest=MANIFEST))
    assert found == DatasetInfo("toy", ("a", "b"), (5, 1), (0.5,), (0.2,), "t", "e")


def test_facts_make_the_set_again_and_hold_no_path():
    facts = facts_of(MANIFEST)
    assert facts["fingerprints"] == MANIFEST.fingerprints and facts["fingerprints"] is not MANIFEST.fingerprints
    assert (facts["dataset"], facts["counts"], facts["imbalance"], facts["seed"]) == ("toy", (5, 1), 5.0, 3)
    assert "/home/me" not in facts.values()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("Train.csv", "Train.csv"),
        ("/home/me/signs/lists/Train.csv", "lists/Train.csv"),
        ("/home/me/Train.csv", "Train.csv"),
    ],
)
def test_a_list_is_told_without_the_way_to_it(given, told):
    signs = MakeLt(dataset="folder", data_dir="/home/me/signs", train_list=given, channels=1)
    assert signs.read_as == {"train_list": told, "channels": 1}


def test_the_recipe_are_settings_of_evaluate():
    assert set(RECIPE) <= set(Evaluate.model_fields)
