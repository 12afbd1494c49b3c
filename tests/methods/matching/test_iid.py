"""iid against its formula, and at its limit: dm."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.methods.matching.dm import Dm
from csdm_cli.methods.matching.iid import Iid, IidParameters
from tests.methods.random_batches import CHANNELS, random_batch, total, value
from tests.methods.tiny_world import assembled, check_chunking, gradient
from tests.reference import iid as oracle


@pytest.mark.parametrize("exponent", [0.0, 0.02])
def test_loss_is_the_formula(exponent):
    method = Iid(IidParameters(0.3, 0.7, exponent))
    batch, real = random_batch(method.request())
    expected = 0.0
    for label, own in enumerate(batch.features.split(4)):
        rows, theirs = own.tolist(), real[label].tolist()
        expected += oracle.squared_distance(oracle.mean_of(rows), oracle.mean_of(theirs))
        expected += 0.3 * oracle.centralization(rows, exponent)
        expected += 0.7 * oracle.covariance(theirs, rows, CHANNELS)
    assert value(method.losses(batch, 0)) == pytest.approx(expected, rel=1e-9)


def test_without_its_terms_it_is_dm(tmp_path):
    method = Iid(IidParameters(0, 0))
    assert method.request() == Dm(None).request()
    batch, _ = random_batch(method.request())
    assert torch.equal(total(method.losses(batch, 0)), total(Dm(None).losses(batch, 0)))
    values = {"option": {"centralization": 0, "covariance": 0}}
    one, other = assembled(tmp_path, "iid", **values), assembled(tmp_path, "dm")
    assert all(torch.equal(gradient(one, step)[1], gradient(other, step)[1]) for step in range(3))


def test_gradient_is_the_same_in_any_chunking(tmp_path):
    parts = assembled(tmp_path, "iid")
    for step in range(3):
        check_chunking(parts, step, atol=1e-10)


def test_gradient_equals_finite_differences():
    method = Iid(IidParameters(0.3, 0.7, 0.01))
    batch, _ = random_batch(method.request(), per_class=2)

    def loss(features):
        return total(method.losses(type(batch)(**vars(batch) | {"features": features}), 0))

    assert torch.autograd.gradcheck(loss, (batch.features,))
