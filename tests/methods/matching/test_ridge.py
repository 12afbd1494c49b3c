"""The ridge probe is scikit-learn's, its derivative the textbook's, and features' place and scale are not seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sklearn.linear_model import Ridge as SklearnRidge

from csdm_cli.methods.contract import Context
from csdm_cli.methods.matching.ridge import RealFeatures, Ridge, RidgeParameters, class_losses, ridge_scores
from csdm_cli.methods.statistics import Batch
from tests.methods.random_batches import COUNTS, DIM, random_batch, total, value
from tests.methods.tiny_world import assembled, check_chunking
from tests.reference import ridge as textbook

LABELS = torch.arange(3).repeat_interleave(4)
OUTER = ("balanced", "plain", "logit-adjusted")


def ridge(**options) -> Ridge:
    method = Ridge(RidgeParameters(**options))
    method.prepare(Context(COUNTS, torch.device("cpu"), torch.float64, per_class=4))
    return method


def batch_of(method: Ridge, seed: int = 0) -> tuple[Batch, list[torch.Tensor]]:
    batch, real = random_batch(method.request(), seed)
    return replace(batch, real=replace(batch.real, counts=COUNTS)), real


def points(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("strength", [1e-3, 0.1, 10.0])
def test_the_probe_is_scikit_learn_s(strength):
    features, judged = points(12, 0), points(7, 1)
    length = (features - features.mean(0)).square().sum(1).mean()
    model = SklearnRidge(alpha=float(strength * length)).fit(
        features.numpy(), torch.nn.functional.one_hot(LABELS).numpy()
    )
    expected = torch.from_numpy(model.predict(judged.numpy()))
    torch.testing.assert_close(ridge_scores(features, LABELS, judged, strength), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("outer", OUTER)
def test_loss_and_gradient_are_the_textbook_s(outer):
    method = ridge(outer=outer, strength=0.3, score_temperature=0.5)
    batch, real = batch_of(method)
    own = total(method.losses(batch, 0))
    expected = textbook.loss(batch.features, LABELS, real, 0.3, 0.5, outer)
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-10)
    (found,), (wanted,) = (torch.autograd.grad(loss, batch.features) for loss in (own, expected))
    assert wanted.abs().max() > 1e-3
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)


def test_the_derivative_through_the_solve_is_that_of_finite_differences():
    judged = points(6, 3)

    def loss(features: torch.Tensor) -> torch.Tensor:
        return class_losses(ridge_scores(features, LABELS, judged, 0.1).view(3, 2, 3) / 0.2, (2, 2, 2)).sum()

    assert torch.autograd.gradcheck(loss, points(12, 2).requires_grad_(True), eps=1e-6, atol=1e-7)


def test_moving_turning_and_scaling_all_features_changes_nothing():
    features, judged = points(12, 0), points(7, 1)
    there, (turn, _) = torch.linspace(-3, 5, DIM, dtype=torch.float64), torch.linalg.qr(points(DIM, 5)[:, :DIM])
    before = ridge_scores(features, LABELS, judged, 0.1)
    moved = ridge_scores(4 * features @ turn + there, LABELS, 4 * judged @ turn + there, 0.1)
    torch.testing.assert_close(moved, before, rtol=0, atol=1e-11)


def test_equal_images_are_no_error_and_teach_nothing():
    features = torch.ones(12, DIM, dtype=torch.float64).requires_grad_(True)
    scores = ridge_scores(features, LABELS, points(5, 0), 0.1)
    assert torch.equal(scores.detach(), torch.full((5, 3), 1 / 3, dtype=torch.float64))
    assert all(part.isfinite().all() for part in torch.autograd.grad(scores.sum(), features))


def test_with_the_prior_in_the_logits_a_probe_that_knows_nothing_scores_the_entropy_of_the_shares():
    method = ridge(outer="logit-adjusted", strength=1e9)
    batch, _ = batch_of(method)
    shares = torch.tensor(COUNTS, dtype=torch.float64) / sum(COUNTS)
    entropy = -3 * (shares * shares.log()).sum()
    assert value(method.losses(batch, 0)) == pytest.approx(float(entropy), abs=1e-6)


def test_balanced_classes_make_all_outer_losses_one():
    values = set()
    for outer in OUTER:
        method = Ridge(RidgeParameters(outer=outer))
        method.prepare(Context((5, 5, 5), torch.device("cpu"), torch.float64, per_class=4))
        batch = random_batch(method.request(), 0)[0]
        real = batch.real.summaries["real_features"].clone()
        real[:, 5:] = 0
        batch = replace(batch, real=replace(batch.real, summaries={"real_features": real}, counts=(5, 5, 5)))
        values.add(round(value(method.losses(batch, 0)), 12))
    assert len(values) == 1


def test_some_of_a_large_class_and_all_of_a_small_one():
    large, small = points(9, 0), points(2, 1)
    found = RealFeatures(4).of(large, 1, 0)
    assert len({tuple(row) for row in found.tolist()} & {tuple(row) for row in large.tolist()}) == 4
    padded = RealFeatures(4).of(small, 1, 0)
    assert {tuple(row) for row in padded[:2].tolist()} == {tuple(row) for row in small.tolist()}
    assert padded[2:].abs().max() == 0
    logits = torch.randn(2, 4, 2, generator=torch.Generator().manual_seed(0))
    other = logits.clone()
    other[1, 2:] = 99
    assert torch.equal(class_losses(logits, (9, 2)), class_losses(other, (9, 2)))


def test_only_as_many_rows_count_as_the_minibatch_had_images():
    method = ridge()
    batch, _ = batch_of(method)
    real = batch.real.summaries["real_features"].clone()
    real[:, 2:] = 0
    few = replace(batch, real=replace(batch.real, summaries={"real_features": real}, counts=(2, 2, 2)))
    whole = replace(batch, real=replace(batch.real, counts=(2, 2, 2)))
    assert value(method.losses(few, 0)) == value(method.losses(whole, 0)) != value(method.losses(batch, 0))


@pytest.mark.parametrize("outer", OUTER)
def test_any_layout_gives_the_same_gradient(tmp_path, outer):
    check_chunking(assembled(tmp_path, "ridge", option={"outer": outer}), 1)
