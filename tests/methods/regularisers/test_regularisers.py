"""Regularisers: what may be asked for, and that they add their terms to a method's loss and nothing else."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
import torch

from csdm_cli.errors import UsageError
from csdm_cli.methods import load
from csdm_cli.methods.regularisers import RegulariserChoice, parse, parse_all, regulariser_names
from csdm_cli.methods.regularisers.centralization import Centralization
from csdm_cli.methods.regularisers.weighted import PREFIX, bankable, weighted_terms
from csdm_cli.methods.regularisers.weighted import load as load_regulariser
from csdm_cli.runs.choose import decided
from csdm_cli.runs.method_options import make_method
from csdm_cli.runs.task import run_key
from csdm_cli.settings.resolve import resolve
from csdm_cli.settings.sections import Distill
from tests.methods.tiny_world import assembled, check_chunking, finished, gradient, make_pool

ALL = ["centralization=0.3", "covariance=0.7", "constraint=0.2"]


def test_names_and_weights():
    assert parse("covariance") == RegulariserChoice("covariance") and parse(" covariance = 2e-3 ") == RegulariserChoice(
        "covariance", 0.002
    )
    assert regulariser_names() == ("centralization", "constraint", "covariance")
    for name in regulariser_names():
        cls = load_regulariser(name)
        assert cls.__name__.lower() == name and cls.summary and cls.source and cls.default_weight > 0


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["covarianc"], r"one of centralization, constraint, covariance.*did you mean covariance\?"),
        (["covariance=0"], "a weight above 0"),
        (["covariance=-1"], "a weight above 0"),
        (["covariance=nan"], "a weight above 0"),
        (["covariance=inf"], "a weight above 0"),
        (["covariance="], "a weight above 0"),
        (["covariance=much"], "a weight above 0"),
        (["covariance", "constraint", "covariance=2"], "covariance is there twice"),
    ],
)
def test_what_cannot_be_is_refused(texts, message):
    with pytest.raises(ValueError, match=message):
        parse_all(texts)
    with pytest.raises(UsageError, match=f"--regularizer.*{message}"):
        resolve(Distill, None, {"regularizer": texts})


@pytest.mark.parametrize("method", ["csdm", "dm", "dsdm", "m3d", "wmdd"])
def test_loss_is_the_methods_plus_weight_times_term(tmp_path, method):
    base = assembled(tmp_path, method)
    whole = assembled(tmp_path, method, regularizer=ALL)
    single = [assembled(tmp_path, method, regularizer=[text]) for text in ALL]
    value, slope = gradient(base, 1)
    found, gradients = gradient(whole, 1)
    values = [gradient(parts, 1) for parts in single]
    assert found == pytest.approx(value + sum(one - value for one, _ in values), rel=1e-9)
    torch.testing.assert_close(gradients, slope + sum(one - slope for _, one in values), rtol=0, atol=1e-9)
    terms = whole.matching.backward(whole.leaves.images, whole.real.at(1), 1)
    plain = base.matching.backward(base.leaves.images, base.real.at(1), 1)
    assert all(torch.equal(terms[name], plain[name]) for name in plain)
    double = assembled(tmp_path, method, regularizer=["centralization=0.6", "covariance=1.4", "constraint=0.4"])
    twice = double.matching.backward(double.leaves.images, double.real.at(1), 1)
    for name in regulariser_names():
        torch.testing.assert_close(twice[PREFIX + name], 2 * terms[PREFIX + name])


def test_dm_with_iids_terms_is_iid(tmp_path):
    one = assembled(tmp_path, "iid", option={"centralization": 0.3, "covariance": 0.7})
    other = assembled(tmp_path, "dm", regularizer=ALL[:2])
    for step in range(3):
        (value, slope), (again, found) = gradient(one, step), gradient(other, step)
        assert value == pytest.approx(again, rel=1e-12)
        torch.testing.assert_close(slope, found, rtol=0, atol=1e-12)


@pytest.mark.parametrize("schedule", ["final", "interpolate", "trajectory"])
def test_gradient_is_the_same_in_any_chunking(tmp_path, schedule):
    parts = assembled(tmp_path, "csdm", regularizer=ALL, teacher_schedule=schedule)
    for step in range(2):
        check_chunking(parts, step)


def test_a_method_is_the_same_beside_regularisers():
    for name in ("csdm", "dm", "dsdm", "tgdd", "wmdd"):
        base, whole = make_method(Distill(method=name)), make_method(Distill(method=name, regularizer=["covariance"]))
        assert type(whole) is type(base) and whole.parameters == base.parameters
        assert bankable(whole, weighted_terms(["covariance"])) == base.bankable
    assert weighted_terms([]) == ()
    asked = [(term.label, term.weight) for term in weighted_terms(ALL)]
    assert asked == [(PREFIX + "centralization", 0.3), (PREFIX + "covariance", 0.7), (PREFIX + "constraint", 0.2)]
    (default,) = weighted_terms(["centralization"])
    assert default.weight == Centralization.default_weight


def test_a_run_with_regularisers_resumes_to_the_same_bytes(tmp_path):
    values = {"regularizer": ALL, "option": {"history_start": 1, "history": 20.0}, "teacher_schedule": "trajectory"}
    whole = finished(assembled(tmp_path, "dsdm", torch.float32, **values), tmp_path / "whole")
    with pytest.raises(InterruptedError):
        finished(assembled(tmp_path, "dsdm", torch.float32, **values), tmp_path / "cut", stop=3)
    again = finished(assembled(tmp_path, "dsdm", torch.float32, **values), tmp_path / "cut")
    assert torch.equal(again.images, whole.images)


def test_what_does_not_go_together_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--regularizer has no effect on random"):
        make_method(Distill(method="random", regularizer=["covariance"]), frozenset({"regularizer"}))
    with pytest.raises(UsageError, match="--regularizer constraint: this method's own loss"):
        make_method(Distill(method="tgdd", regularizer=["constraint"]))
    with pytest.raises(UsageError, match="--regularizer covariance reads the teachers' features alone"):
        assembled(tmp_path, "wmdd", pool=make_pool("batch"), regularizer=["covariance"])
    assembled(tmp_path, "wmdd", pool=make_pool("batch"), regularizer=["constraint"])
    assert load("random").__name__ == "Random"


def test_the_run_key_changes_with_the_regularisers():
    longtail = Mock(manifest=Mock(fingerprints={"train": "x"}, mean=(0.5,), std=(0.2,)))
    numerics, pool = Mock(as_dict=dict), Mock(key="teachers")
    keys = set()
    for chosen in ([], ["covariance"], ["covariance=2"], ["constraint"]):
        settings = Distill(method="dm", regularizer=chosen)
        keys.add(run_key(*decided(settings), longtail, pool, numerics))
    assert len(keys) == 4
