"""The words that a method has of itself."""

from __future__ import annotations

from dataclasses import dataclass, fields

from csdm_cli.methods.contract import NoParameters, option, parameter_names
from csdm_cli.methods.matching.dm import Dm
from csdm_cli.methods.statistics import Request
from csdm_cli.teachers.views import View


def test_an_own_parameter_has_a_default_and_a_help():
    @dataclass(frozen=True)
    class Parameters:
        kernel: str
        much: float = option(0.5, "how much")

    (own,) = [field for field in fields(Parameters) if field.name == "much"]
    assert Parameters("rbf").much == 0.5 and own.metadata == {"help": "how much"}


def test_parameter_names_are_those_of_its_dataclass():
    class Made(Dm):
        @dataclass(frozen=True)
        class Parameters:
            kernel: str
            weight: float

    assert parameter_names(Made) == {"kernel", "weight"} and parameter_names(Dm) == frozenset()


def test_a_method_is_bankable_unless_it_asks_for_every_feature():
    class Greedy(Dm):
        def request(self):
            return Request(features=True)

    plain, greedy = Dm(NoParameters()), Greedy(NoParameters())
    assert plain.bankable and not greedy.bankable
    assert plain.logits_stage(View(0, 0, "final", None, 0)) is None
