"""Local covariances."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from csdm_cli.methods.regularisers.covariance import Covariance, local_covariance
from csdm_cli.methods.statistics import Request
from tests.methods.random_batches import CHANNELS, part, random_batch
from tests.reference import iid as oracle


def test_it_is_the_formula_and_a_sum_over_classes():
    batch, real = random_batch(Covariance().request())
    parts = [own.tolist() for own in batch.features.split(4)]
    expected = sum(oracle.covariance(r.tolist(), own, CHANNELS) for r, own in zip(real, parts, strict=True))
    assert float(Covariance().term(batch).detach()) == pytest.approx(expected, rel=1e-9)
    pieces = sum(Covariance().term(part(batch, c, c + 1)) for c in range(3))
    torch.testing.assert_close(Covariance().term(batch), pieces)


def test_gradient_equals_finite_differences():
    batch, _ = random_batch(Request(mean=True).joined(Covariance().request()), per_class=2)
    assert torch.autograd.gradcheck(lambda rows: Covariance().term(replace(batch, features=rows)), (batch.features,))


def test_two_images_of_two_channels_by_hand():
    """Deviations ±(1, 2) from the mean at one position: their outer product, once for each of two images, over two."""
    features = torch.tensor([[[0.0, 0.0], [2.0, 4.0]]])
    assert local_covariance(features, 2).tolist() == [[[1.0, 2.0], [2.0, 4.0]]]
