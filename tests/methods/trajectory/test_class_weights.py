from __future__ import annotations

import pytest
import torch

from csdm_cli.methods.trajectory.class_weights import lad_class_weights
from csdm_cli.training.second_order import soft, weighted


def test_weights_are_the_shares_times_the_classes() -> None:
    assert lad_class_weights([60, 30, 10]).tolist() == pytest.approx([1.8, 0.9, 0.3])
    assert lad_class_weights([60, 30, 10], floor=50).tolist() == pytest.approx([1.32, 0.96, 0.72])
    assert lad_class_weights([60, 30, 10], released=True).tolist() == pytest.approx([0.6, 0.3, 0.1])


def test_released_weights_make_every_loss_smaller_by_the_classes() -> None:
    rng = torch.Generator().manual_seed(0)
    logits, targets = (torch.rand(5, 3, generator=rng, dtype=torch.float64) for _ in range(2))
    ours, theirs = (weighted(lad_class_weights([60, 30, 10], released=released)) for released in (False, True))
    torch.testing.assert_close(ours(logits, targets), 3 * theirs(logits, targets))


def test_balanced_counts_give_the_plain_loss() -> None:
    weights = lad_class_weights([25] * 4)
    assert weights.tolist() == [1, 1, 1, 1]
    rng = torch.Generator().manual_seed(1)
    logits, targets = (torch.rand(5, 4, generator=rng, dtype=torch.float64) for _ in range(2))
    assert torch.equal(weighted(weights)(logits, targets), soft(logits, targets))


def test_weights_tend_to_one_as_the_tail_shortens() -> None:
    def spread(factor: float) -> float:
        counts = [int(1000 * factor ** (-k / 9)) for k in range(10)]
        return float((lad_class_weights(counts) - 1).abs().max())

    spreads = [spread(factor) for factor in (200, 10, 2, 1)]
    assert spreads == sorted(spreads, reverse=True) and spreads[0] > 2 and spreads[-1] == 0
