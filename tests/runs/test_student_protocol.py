"""The students that settings ask for."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from csdm_cli.artifacts.distilled import Distilled
from csdm_cli.errors import UsageError
from csdm_cli.names import LEARNED, Precision
from csdm_cli.networks import NetworkSpec
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.networks.spec import Frozen
from csdm_cli.runs.student_protocol import (
    at_learned_rate,
    described_protocol,
    learned_protocol,
    protocol_of,
    renamed,
    students_like,
    with_common_rate,
    with_recipe_of,
)
from csdm_cli.settings.sections import Evaluate

OWN = NetworkSpec("convnet", width=8, depth=2, channels=1, size=8, classes=5)


def made(learned_rate: float | None = None, **recipe: object) -> Distilled:
    """A set, as far as it is read here."""
    return cast(Distilled, SimpleNamespace(learned_rate=learned_rate, evaluation=recipe))


def test_another_architecture_sees_the_same_images():
    other = renamed(OWN, "vgg11")
    assert other.name == "vgg11" and (other.channels, other.size, other.classes) == (1, 8, 5)
    assert renamed(OWN, None) is OWN and renamed(OWN, "convnet") == OWN


def test_a_frozen_backbone_is_no_student():
    backbone = replace(OWN, name="patch-kmeans", frozen=Frozen("fitted", 8, (0.0,), (1.0,), "triangle", centres=6))
    for own, name in ((backbone, None), (OWN, "patch-kmeans")):
        with pytest.raises(UsageError, match="frozen backbone"):
            renamed(own, name)
    student = students_like(backbone)
    assert student.name == "convnet" and student.frozen is None and student.size == OWN.size


def test_the_recipe_of_a_set_stands_where_nothing_was_chosen():
    asked = Evaluate(steps=40, lr=0.1, test_points=5)
    found = with_recipe_of(asked, made(steps=3, lr=0.2, batch=7), frozenset({"lr"}))
    assert (found.steps, found.lr, found.batch, found.test_points) == (3, 0.1, 7, 3)


def test_the_learned_rate_has_a_row_of_its_own():
    asked = Evaluate(lr=LEARNED, steps=4, test_points=1)
    with pytest.raises(UsageError, match="--lr learned"):
        protocol_of(asked)
    common = protocol_of(with_common_rate(asked))
    assert common == protocol_of(Evaluate(steps=4, test_points=1)) and common.recipe.optimizer == "adamw"
    own = learned_protocol(common, made(learned_rate=0.03))
    assert (own.recipe.optimizer, own.recipe.lr, own.recipe.schedule) == ("sgd", 0.03, "constant")
    assert replace(own, recipe=common.recipe) == common
    with pytest.raises(UsageError, match="no step size"):
        learned_protocol(common, made())


def test_what_rows_share_names_numerics_that_are_not_plain():
    protocol = protocol_of(Evaluate(steps=4, test_points=1))
    plain = described_protocol(protocol, OWN, PLAIN)
    assert "numerics" not in plain and plain["steps"] == 4 and plain["network"] == OWN.as_dict()
    assert "numerics" in described_protocol(protocol, OWN, Numerics(Precision.bf16))
    told = at_learned_rate(plain)
    assert told["recipe"] == plain["recipe"] | {"lr": LEARNED} and plain["recipe"]["lr"] == 0.001
