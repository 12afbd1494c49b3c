from __future__ import annotations

import math

import pytest
import torch

from csdm_cli.errors import CsdmError
from csdm_cli.names import TeacherLoss
from csdm_cli.training.losses import balanced_softmax, bias_after, cross_entropy, log_prior, training_loss


def random_case() -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 4, generator=rng, dtype=torch.float64)
    targets = torch.rand(6, 4, generator=rng, dtype=torch.float64)
    return logits, targets / targets.sum(1, keepdim=True)


def test_cross_entropy_of_known_probabilities():
    logits = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64).log()
    targets = torch.tensor([[1.0, 0.0, 0.0]])
    assert cross_entropy(logits, targets).item() == pytest.approx(-math.log(0.2), abs=1e-12)
    assert cross_entropy(logits, torch.tensor([[0.5, 0.5, 0.0]])).item() == pytest.approx(-math.log(0.2 * 0.5) / 2)


def test_balanced_softmax_is_theorem_1():
    counts = [500, 60, 7, 1]
    logits, targets = random_case()
    weighted = torch.tensor(counts) * logits.exp()  # n_c e^{f_c}
    expected = -(targets * (weighted / weighted.sum(1, keepdim=True)).log()).sum(1)
    torch.testing.assert_close(balanced_softmax(counts)(logits, targets), expected)


def test_balanced_softmax_is_the_logit_adjusted_loss():
    counts = [500, 60, 7, 1]
    logits, targets = random_case()
    adjusted = cross_entropy(logits + log_prior(counts), targets)  # Menon et al., eq. 10, τ = 1
    torch.testing.assert_close(balanced_softmax(counts)(logits, targets), adjusted)


def test_balanced_counts_change_nothing():
    logits, targets = random_case()
    torch.testing.assert_close(balanced_softmax([9] * 4)(logits, targets), cross_entropy(logits, targets))


def test_adjustment_turns_the_posterior_of_the_long_tail_into_the_balanced_one():
    counts = [80, 15, 5]
    likelihood = torch.tensor([[0.1, 0.5, 0.4]], dtype=torch.float64)  # p(x|c): the posterior under equal priors
    joint = likelihood * torch.tensor(counts)
    logits = (joint / joint.sum()).log()
    assert logits.argmax().item() == 0
    adjusted = logits - log_prior(counts)
    torch.testing.assert_close(adjusted.softmax(1), likelihood)


def test_each_answer_to_the_long_tail_changes_training_or_the_bias_after_it_or_neither():
    counts, (logits, targets), bias = [500, 60, 7, 1], random_case(), torch.tensor([1.0, 2.0, -1.0, 0.5])
    in_training = {name: not torch.equal(training_loss(name, counts)(logits, targets), cross_entropy(logits, targets))
                   for name in TeacherLoss}  # fmt: skip
    afterwards = {name: bias_after(name, counts, bias) for name in TeacherLoss}
    assert [name for name in TeacherLoss if in_training[name]] == [TeacherLoss.balanced_softmax]
    changed = [name for name in TeacherLoss if not torch.equal(afterwards[name], bias)]
    assert changed == [TeacherLoss.logit_adjustment]
    expected = torch.tensor([value - math.log(count / 568) for value, count in zip(bias.tolist(), counts, strict=True)])
    torch.testing.assert_close(afterwards[TeacherLoss.logit_adjustment], expected)
    torch.testing.assert_close(training_loss(TeacherLoss.balanced_softmax, counts)(logits, targets),
                               balanced_softmax(counts)(logits, targets))  # fmt: skip


def test_a_class_without_images_has_no_prior():
    with pytest.raises(CsdmError, match="class 1 has no training image"):
        balanced_softmax([3, 0, 1])
