"""dm is the distance between class means, whatever the order of the images."""

from __future__ import annotations

import torch

from csdm_cli.methods.contract import NoParameters
from csdm_cli.methods.matching.dm import Dm
from csdm_cli.methods.statistics import Batch, ClassStatistics


def test_loss_is_the_squared_distance_of_class_means():
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(6, 4, generator=rng, dtype=torch.float64)
    means = torch.randn(2, 4, generator=rng, dtype=torch.float64)
    batch = Batch(0, 2, 3, features, ClassStatistics(mean=means), None)
    expected = sum(
        float(((features[3 * c] + features[3 * c + 1] + features[3 * c + 2]) / 3 - means[c]).pow(2).sum())
        for c in range(2)
    )
    loss = Dm(NoParameters()).losses(batch, 0)["mean"]
    assert abs(float(loss) - expected) < 1e-12
    shuffled = Batch(0, 2, 3, features[[2, 0, 1, 5, 4, 3]], ClassStatistics(mean=means), None)
    torch.testing.assert_close(Dm(NoParameters()).losses(shuffled, 0)["mean"], loss)


def test_loss_is_zero_at_the_real_means():
    features = torch.arange(8.0).view(4, 2)
    batch = Batch(0, 1, 4, features, ClassStatistics(mean=features.mean(0, keepdim=True)), None)
    assert float(Dm(NoParameters()).losses(batch, 0)["mean"]) == 0
