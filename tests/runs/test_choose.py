"""Choices where a setting is open, and refusals."""

from __future__ import annotations

import pytest

from csdm_cli.errors import UsageError
from csdm_cli.methods import method_names
from csdm_cli.parallel.class_shares import share_of
from csdm_cli.runs.choose import choose, describe_share, refuse_to_couple, without_effect
from csdm_cli.settings.sections import Distill, Params

SETTINGS = [
    {},
    {"kernel": "linear"},
    {"alpha_schedule": "constant"},
    {"labels": "soft"},
    {"real": "fresh"},
    {"teacher_schedule": "final"},
    {"parameterization": "frequency", "coefficients": 9},
    {"parameterization": "decomposition", "shared_kernels": 2, "tensor_side": 4},
    {"parameterization": "pixels", "factor": 1},
    {"parameterization": "pyramid"},
]
WRONG = [
    ({"coefficients": 9}, set(), "--coefficients belongs to --parameterization frequency, not multi-formation"),
    (
        {"parameterization": "frequency", "tensor_side": 4},
        set(),
        "--tensor-side belongs to --parameterization decomposition, not frequency",
    ),
    ({"parameterization": "pixels", "factor": 3}, set(), "--factor 3 belongs to --parameterization multi-formation"),
    ({"parameterization": "frequency", "factor": 2}, {"factor"}, "--factor 2 belongs to .*, not frequency"),
    ({"parameterization": "pyramid", "engine": "textbook"}, set(), "--engine textbook knows pixels alone"),
    ({"method": "random", "parameterization": "frequency"}, {"parameterization"}, "no effect on random, which opt"),
]


@pytest.mark.parametrize("method", ["csdm", "dm", "m3d", "ncfm", "idm", "dc", "dsa", "random", "herding"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_settings_without_effect_are_exactly_those_that_are_refused(method, settings):
    params = Params(distill=Distill(method=method, **settings))
    try:
        chosen = choose(params)
    except UsageError:
        pytest.skip("these do not go together")

    def refused(name: str) -> bool:
        try:
            choose(params, frozenset({name}))
        except UsageError as error:
            assert name.replace("_", "-") in str(error)
            return True
        return False

    assert without_effect(chosen) == {name for name in Distill.model_fields if refused(name)}


@pytest.mark.parametrize(("settings", "given", "message"), WRONG, ids=[str(wrong[0]) for wrong in WRONG])
def test_parameterizations_refuse_what_is_not_theirs(settings, given, message):
    with pytest.raises(UsageError, match=message) as caught:
        choose(Params(distill=Distill(**settings)), frozenset(given))
    assert "\n" not in str(caught.value)


def test_only_multi_formation_has_a_factor():
    assert choose(Params()).settings.factor == 2
    for kind in ("pixels", "frequency", "decomposition", "pyramid"):
        assert choose(Params(distill=Distill(parameterization=kind))).settings.factor == 1


SEPARABLE = {"csdm", "dm", "dream", "dsdm", "idc", "idm", "iid", "m3d", "ncfm", "tgdd", "wmdd"}
COUPLED_BY = {
    "cafe dc dsa": "couples the classes (its network learns from the synthetic images of all of them)",
    "mtt ftd datm lad": "couples the classes (its student learns from the synthetic images of all of them)",
    "lgm": "couples the classes (one gradient is of a classifier of all of them)",
    "sfm": "couples the classes (a flow leads from each class to the mean of all others)",
    "ridge": "couples the classes (one probe is fitted to all of them)",
    "random tiled-random herding k-center graph-cut forgetting rded": "selects its images in one process",
}
REFUSED = {name: reason for names, reason in COUPLED_BY.items() for name in names.split()}


@pytest.mark.parametrize("name", method_names())
def test_torchrun_is_refused_for_the_method_s_own_reason(monkeypatch, name):
    monkeypatch.setattr("csdm_cli.runs.choose.seat.seat", object)
    chosen = choose(Params(distill=Distill(method=name)))
    if name in SEPARABLE:
        refuse_to_couple(chosen.settings, chosen.method)
        return
    with pytest.raises(UsageError) as caught:
        refuse_to_couple(chosen.settings, chosen.method)
    assert str(caught.value) == f"--method {name} {REFUSED[name]}: run it without torchrun"


def test_torchrun_is_refused_where_a_sampler_is_learned(monkeypatch):
    monkeypatch.setattr("csdm_cli.runs.choose.seat.seat", object)
    chosen = choose(Params(distill=Distill(method="ncfm", option={"sampler": "learned"})))
    with pytest.raises(UsageError, match="the network that draws its frequencies takes one step for all of them"):
        refuse_to_couple(chosen.settings, chosen.method)


def test_processes_without_a_class_are_told_of():
    shared = [describe_share(share_of(0, 8, 10, chunk, unit), 10) for chunk, unit in ((4, 4), (4, 1), (1, 1))]
    assert shared[0].startswith("10 classes shared among 8 processes, 4 at a time; 5 have none, for a chunk is not")
    assert shared[1:] == [f"10 classes shared among 8 processes, {chunk} at a time" for chunk in (4, 1)]
    assert describe_share(share_of(0, 12, 10, 1), 10).endswith(" 1 at a time; 2 have none")


def test_torchrun_is_refused_where_kernels_are_shared(monkeypatch):
    monkeypatch.setattr("csdm_cli.runs.choose.seat.seat", object)
    for kind in ("multi-formation", "frequency"):
        chosen = choose(Params(distill=Distill(method="dm", parameterization=kind)))
        refuse_to_couple(chosen.settings, chosen.method)
    chosen = choose(Params(distill=Distill(method="dm", parameterization="decomposition")))
    with pytest.raises(UsageError, match="decomposition shares its kernels among all classes: run it without torchrun"):
        refuse_to_couple(chosen.settings, chosen.method)
