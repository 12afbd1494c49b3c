"""Settings within a distilled file pass what options of that name pass."""

from dataclasses import replace

import pytest

from csdm_cli.artifacts.validation import first_problem
from tests.artifacts.sets import make_set

BAD = [{"batch": 0}, {"lr": "1e9"}, {"lr": 1e9}, {"cutmix": 9}, {"augment": "x"}, {"network": 5}]


@pytest.mark.parametrize("recipe", BAD)
def test_a_forged_recipe_is_told(recipe):
    assert "not allowed" in (first_problem(replace(make_set(), evaluation=recipe)) or "")


FROZEN = {"origin": "a file", "size": 8, "mean": [0.5], "std": [0.2], "feature": "f", "weights": "0", "centres": None}
FORGED = [{"size": 10**6}, {"std": [0.0]}, {"std": [float("inf")]}, {"mean": []}, {"origin": "x" * 500}, {"more": 1}]


@pytest.mark.parametrize("forged", [{}, *FORGED], ids=str)
def test_the_description_of_a_backbone_is_looked_at(forged):
    network = {"name": "torchvision:resnet18", "frozen": FROZEN | forged}
    problem = first_problem(replace(make_set(), evaluation={"network": network}))
    assert problem is None if not forged else "frozen" in (problem or "")


def test_a_recipe_of_few_steps_is_sound():
    assert first_problem(replace(make_set(), evaluation={"steps": 3, "lr": 0.001})) is None


def test_a_huge_decoding_is_told():
    found = make_set()
    assert "100000" in (first_problem(replace(found, decoding=replace(found.decoding, size=100_000))) or "")
