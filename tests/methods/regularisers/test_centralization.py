"""A class's images close together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from csdm_cli.methods.regularisers.centralization import Centralization, scatter
from csdm_cli.methods.statistics import Request
from tests.methods.random_batches import part, random_batch
from tests.reference import iid as oracle


def test_it_is_the_formula_and_a_sum_over_classes():
    batch, _ = random_batch(Centralization().request())
    parts = [own.tolist() for own in batch.features.split(4)]
    expected = sum(oracle.centralization(own) for own in parts)
    assert float(Centralization().term(batch).detach()) == pytest.approx(expected, rel=1e-9)
    pieces = sum(Centralization().term(part(batch, c, c + 1)) for c in range(3))
    torch.testing.assert_close(Centralization().term(batch), pieces)


def test_gradient_equals_finite_differences():
    batch, _ = random_batch(Request(mean=True).joined(Centralization().request()), per_class=2)
    assert torch.autograd.gradcheck(
        lambda rows: Centralization().term(replace(batch, features=rows)), (batch.features,)
    )


def test_images_that_are_alike_have_none_and_an_exponent_counts_them():
    batch, _ = random_batch(Centralization().request())
    alike = replace(batch, features=torch.ones_like(batch.features))
    assert float(scatter(alike)) == 0 and float(scatter(alike, 2.0)) == len(batch.features)
