"""Similarities from factors equal those from the gradients themselves."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.methods.selection.rules.gradients import GradientSimilarity
from tests.reference.selection import cosine_similarity, last_layer_gradients

N, CLASSES = 5, 3


def seen_by(teachers, scale=1.0):
    """Per teacher features, classifier weights and logits, of a width of its own."""
    rng = torch.Generator().manual_seed(teachers)
    found = []
    for width in range(2, 2 + teachers):
        features = torch.randn(N, width, generator=rng, dtype=torch.float64)
        weight = scale * torch.randn(CLASSES, width, generator=rng, dtype=torch.float64)
        bias = torch.randn(CLASSES, generator=rng, dtype=torch.float64)
        found.append((features, weight, bias, features @ weight.T + bias))
    return found


@pytest.mark.parametrize("teachers", [1, 2, 3])
@pytest.mark.parametrize("label", range(CLASSES))
def test_similarities_are_those_of_whole_gradients(teachers, label):
    seen = seen_by(teachers)
    rows = [last_layer_gradients(features, weight, bias, label) for features, weight, bias, _ in seen]
    expected = cosine_similarity(torch.cat(rows, 1))
    found = GradientSimilarity.of([(features, logits) for features, _, _, logits in seen], label)
    torch.testing.assert_close(found.total(), expected.sum(0), atol=1e-9, rtol=0)
    for pick in range(N):
        torch.testing.assert_close(found.column(pick), expected[:, pick], atol=1e-9, rtol=0)
        assert abs(float(found.column(pick)[pick]) - 1) < 1e-9  # what the greedy rule relies on


@pytest.mark.parametrize("gap", [30.0, 1000.0])
def test_a_sure_teachers_gradients_keep_their_direction(gap):
    """1 - p is lost in float32 from a gap of 17 on, and in float64 at 1000: the gradients' directions are not."""
    features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    logits = torch.tensor([[gap, 2.0, 0.0], [gap, 2.0, 0.0], [gap, 0.0, 2.0]])
    found = GradientSimilarity.of([(features, logits)], 0).column(0)
    p, q = (float(torch.tensor([2.0, 0.0]).softmax(0)[k]) for k in (0, 1))
    cosine = (1 + 2 * p * q) / (1 + p * p + q * q)
    assert torch.allclose(found, torch.tensor([1, 1, 0.5 + 0.5 * cosine]), atol=1e-6)
