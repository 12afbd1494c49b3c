"""Who reads which setting of distill: told by the fields, and true of every method."""

from __future__ import annotations

import pytest

from csdm_cli.errors import UsageError
from csdm_cli.methods import load, method_names
from csdm_cli.methods.contract import OptimisedMethod, parameter_names
from csdm_cli.runs.method_options import make_method, method_parameters, reads, real_batch_of, unread
from csdm_cli.settings.fields import Reader
from csdm_cli.settings.sections import Distill


def test_a_parameter_among_the_settings_is_told_to_be_its_owners():
    shared = {name for method in method_names() for name in parameter_names(load(method))} & set(Distill.model_fields)
    assert Distill.names_read_by(Reader.owner) <= shared
    assert shared <= Distill.names_read_by(Reader.owner) | Distill.names_read_by(Reader.matching)
    assert Distill.names_read_by(Reader.chooser) == {"method", "option"}
    assert Distill.names_read_by(None) == {"ipc", "labels", "temperature", "prior_calibration", "seed"}


def test_what_a_method_reads():
    for name in method_names():
        cls = load(name)
        optimises = issubclass(cls, OptimisedMethod)
        assert reads(cls, "seed") and reads(cls, "iterations") == optimises
        assert reads(cls, "factor") == (optimises or cls.reads_factor)
        assert reads(cls, "kernel") == (name in {"csdm", "m3d"})
        assert reads(cls, "frequencies") == (name in {"csdm", "ncfm"})


def test_parameters_are_the_settings_of_their_names_and_the_options():
    found = method_parameters(load("csdm"), Distill(frequencies=7, alpha_head=0.6, option={"mixture": "3"}))
    assert (found.frequencies, found.alpha_head, found.mixture, found.borrow) == (7, 0.6, 3, 0.0)


def test_real_images_per_step_are_those_asked_for_or_the_method_s():
    assert real_batch_of(load("idc"), Distill()) == 64 and real_batch_of(load("idc"), Distill(real_batch=5)) == 5
    assert method_parameters(load("idc"), Distill()).real_batch == 64
    assert method_parameters(load("idc"), Distill(real_batch=5)).real_batch == 5


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"mixtur": "3"}, "csdm has no such parameter; did you mean mixture?"),
        ({"kernel": "rbf"}, "this parameter of csdm is the option --kernel"),
        ({"mixture": "0"}, "--option mixture=0: expected an integer >= 1"),
    ],
)
def test_a_wrong_parameter_of_its_own_is_named(option, message):
    with pytest.raises(UsageError) as caught:
        method_parameters(load("csdm"), Distill(option=option))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_not_read_says_who_reads_it():
    assert unread("csdm") == {}
    told = unread("random")
    assert told["alpha_head"] == "--alpha-head belongs to --method csdm; random does not read it"
    assert told["iterations"] == "--iterations has no effect on random, which optimises nothing"
    with pytest.raises(UsageError, match="--alpha-head belongs to --method csdm"):
        make_method(Distill(method="random"), frozenset({"alpha_head"}))
