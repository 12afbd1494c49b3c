"""dsdm against its formula, its history, and its limits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from csdm_cli.methods.contract import Context
from csdm_cli.methods.matching.dm import Dm
from csdm_cli.methods.matching.dsdm import Dsdm, DsdmParameters, covariance_distance
from tests.methods.random_batches import COUNTS, part, random_batch, total, value
from tests.methods.tiny_world import assembled, check_chunking, finished, gradient
from tests.reference import dsdm as oracle
from tests.reference.iid import mean_of


def ready(parameters: DsdmParameters) -> Dsdm:
    method = Dsdm(parameters)
    method.prepare(Context(COUNTS, torch.device("cpu"), torch.float64, 4))
    return method


def test_loss_is_the_formula_over_a_few_steps():
    method = ready(DsdmParameters(5.0, 0.7, history_start=2, momentum=0.6))
    seen = [[], [], []]
    for step in range(5):
        batch, real = random_batch(method.request(), seed=step)
        expected = 0.0
        for label, own in enumerate(batch.features.split(4)):
            past = oracle.moving_average(seen[label], 0.6) if step >= 2 else None
            expected += oracle.loss(real[label].tolist(), own.tolist(), past, 5.0, 0.7)
            seen[label].append(mean_of(own.tolist()))
        assert value(method.losses(batch, step)) == pytest.approx(expected, rel=1e-9)
        method.after_step(step)


def test_the_history_is_the_same_whatever_the_chunks():
    parameters = DsdmParameters(5.0, 0.7, history_start=1, momentum=0.6)
    whole, pieces = ready(parameters), ready(parameters)
    for step in range(3):
        batch, _ = random_batch(whole.request(), seed=step)
        one = total(whole.losses(batch, step))
        other = sum(total(pieces.losses(part(batch, first, first + 1), step)) for first in range(3))
        torch.testing.assert_close(one, other, rtol=1e-12, atol=0)
        whole.after_step(step)
        pieces.after_step(step)
    assert torch.equal(whole.state_dict()["history"], pieces.state_dict()["history"])


def test_without_its_terms_it_is_dm(tmp_path):
    method = Dsdm(DsdmParameters(0, 0))
    assert method.bankable and method.request() == Dm(None).request()
    batch, _ = random_batch(method.request())
    assert torch.equal(total(method.losses(batch, 0)), total(Dm(None).losses(batch, 0)))
    one = assembled(tmp_path, "dsdm", option={"covariance": 0, "history": 0})
    other = assembled(tmp_path, "dm")
    assert all(torch.equal(gradient(one, step)[1], gradient(other, step)[1]) for step in range(3))


@pytest.mark.parametrize(("real", "own"), [(1, 3), (5, 1), (1, 1)])
def test_a_single_image_has_no_covariance_term(real, own):
    rows = torch.rand(own, 4, dtype=torch.float64).requires_grad_(True)
    distance = covariance_distance(torch.rand(real, 4, dtype=torch.float64), rows)
    distance.backward()
    assert float(distance.detach()) == 0 and torch.equal(rows.grad, torch.zeros_like(rows))


def test_one_image_per_class_runs(tmp_path):
    parts = assembled(tmp_path, "dsdm", ipc=1, factor=1)
    result = finished(parts, tmp_path)
    assert all(values.isfinite().all() for values in result.history.values())
    assert torch.equal(result.history["covariance"], torch.zeros(6, dtype=torch.float64))


def test_gradient_is_the_same_in_any_chunking(tmp_path):
    parts = assembled(tmp_path, "dsdm")
    for step in range(2):
        check_chunking(parts, step, atol=1e-10)


def test_gradient_equals_finite_differences():
    method = ready(DsdmParameters(5.0, 0.7, history_start=0))
    first, _ = random_batch(method.request(), seed=1, per_class=2)
    method.losses(first, 0)
    method.after_step(0)
    batch, _ = random_batch(method.request(), per_class=2)
    own = batch.features
    assert torch.autograd.gradcheck(lambda rows: total(method.losses(replace(batch, features=rows), 1)), (own,))


def test_a_run_with_history_resumes_to_the_same_bytes(tmp_path):
    values = {"option": {"history_start": 2, "history": 20.0, "momentum": 0.5}, "iterations": 7}
    whole = finished(assembled(tmp_path, "dsdm", torch.float32, **values), tmp_path / "whole")
    with pytest.raises(InterruptedError):
        finished(assembled(tmp_path, "dsdm", torch.float32, **values), tmp_path / "cut", stop=4)
    again = finished(assembled(tmp_path, "dsdm", torch.float32, **values), tmp_path / "cut")
    assert torch.equal(again.images, whole.images)
    assert all(torch.equal(again.history[name][2:], values[2:]) for name, values in whole.history.items())
    assert whole.history["history"][:2].isnan().all() and whole.history["history"][2:].isfinite().all()
