from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from csdm_cli.errors import CsdmError
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.training.batches import Examples
from csdm_cli.training.inference import features_of
from csdm_cli.training.losses import balanced_softmax
from csdm_cli.training.probe import (
    kept_features,
    live_features,
    new_probe,
    probabilities,
    probe_recipe,
    train_probe,
)


def clusters(each: tuple[int, ...], spread: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Points about the corners of a triangle, and the corner of each."""
    rng = torch.Generator().manual_seed(seed)
    corners = 3 * torch.tensor([[0.0, 1.0], [-0.9, -0.5], [0.9, -0.5]])
    labels = torch.arange(3).repeat_interleave(torch.tensor(each))
    return corners[labels] + spread * torch.randn(len(labels), 2, generator=rng), labels


def trained(features, labels, steps=600, lr=0.05, **options) -> torch.nn.Linear:
    probe = new_probe(features.shape[1], 3, seed=0).to(features)
    from dataclasses import replace

    recipe = replace(probe_recipe(len(features)), lr=lr)
    batches = kept_features(features, probabilities(labels, 3, features.dtype), recipe.batch, seed=1)
    train_probe(probe, batches, recipe, steps, **options)
    return probe


def test_separable_classes_are_told_apart_as_logistic_regression_tells_them():
    features, labels = clusters((20, 20, 20), 0.4)
    elsewhere, truth = clusters((50, 50, 50), 0.4, seed=1)
    probe = trained(features, labels)
    reference = LogisticRegression(C=1e6, max_iter=5000).fit(features, labels)
    assert torch.equal(probe(features).argmax(1), labels)
    agreed = (probe(elsewhere).argmax(1).numpy() == reference.predict(elsewhere)).mean()
    assert agreed >= 0.98 and (probe(elsewhere).argmax(1) == truth).float().mean() > 0.97


def test_where_classes_overlap_the_optimum_is_that_of_logistic_regression():
    features, labels = clusters((60, 60, 60), 2.0)
    probe = trained(features.double(), labels, steps=3000)
    reference = LogisticRegression(C=1e8, tol=1e-8, max_iter=5000).fit(features, labels)
    expected = torch.from_numpy(reference.predict_proba(features))
    torch.testing.assert_close(probe(features.double()).softmax(1), expected, rtol=0, atol=2e-3)


def test_the_balanced_loss_lifts_the_rare_class():
    features, labels = clusters((200, 200, 8), 2.0)
    plain, balanced = (trained(features, labels, **o) for o in ({}, {"loss": balanced_softmax((200, 200, 8))}))
    counts = [int((probe(features).argmax(1) == 2).sum()) for probe in (plain, balanced)]
    assert counts[1] > counts[0]


def test_the_recipe_is_the_paper_s():
    recipe = probe_recipe(100)
    assert recipe.lr == pytest.approx(0.001 * 100 / 256) and recipe.weight_decay == 0
    assert recipe.lr_at(0, 1000) == recipe.lr and recipe.lr_at(999, 1000) < 1e-5 * recipe.lr


def test_live_features_without_augmentation_are_the_kept_ones():
    network = build(NetworkSpec("convnet", width=4, size=8, classes=3), seed=0).eval()
    images = torch.randint(0, 256, (7, 3, 8, 8), dtype=torch.uint8)
    labels, mean, std = torch.tensor([0, 0, 0, 1, 1, 2, 2]), (0.5,) * 3, (0.2,) * 3
    features = features_of(network, images, mean, std)
    recipe = probe_recipe(3)
    live = live_features(network, Examples(images, labels, mean, std), recipe, 5, 3)
    kept = kept_features(features, probabilities(labels, 3, torch.float32), 3, 5)
    for step in range(4):
        torch.testing.assert_close(live(step)[0], kept(step)[0])
        assert torch.equal(live(step)[1], kept(step)[1])
    moved = live_features(network, Examples(images, labels, mean, std), probe_recipe(3, "flip_scale"), 5, 3)
    assert not torch.allclose(moved(0)[0], kept(0)[0])


def test_a_diverging_probe_is_an_error():
    features, labels = clusters((5, 5, 5), 1.0)
    with pytest.raises(CsdmError, match="diverged"):
        trained(features * 1e38, labels, steps=5)
