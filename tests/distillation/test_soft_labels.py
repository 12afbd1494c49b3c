"""Soft labels: their formula, and how much prior is found in teachers whose bias is known."""

from __future__ import annotations

import math

import pytest
import torch

from csdm_cli.distillation.soft_labels import (
    GRID,
    PriorCalibration,
    balanced_nll,
    calibrated,
    choose_tau,
    soft_labels,
    teacher_logits,
)
from csdm_cli.images.multi_formation import decode
from csdm_cli.training.losses import balanced_softmax, cross_entropy, log_prior

COUNTS = (600, 90, 12)
CENTRES = torch.tensor([[0.0, 0.0], [1.8, 0.0], [0.0, 1.8]], dtype=torch.float64)


def points(counts: tuple[int, ...], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points of three Gaussians of unit variance, and their classes."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    noise = torch.randn(len(labels), 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return CENTRES[labels] + noise, labels


def likelihoods(places: torch.Tensor) -> torch.Tensor:
    """log p(point | class) up to a constant: the logits of a perfect classifier without priors."""
    return -0.5 * torch.cdist(places, CENTRES).square()


def taught(loss, seed: int = 0) -> torch.nn.Linear:
    """A linear classifier that has learnt the long tail to the end."""
    places, labels = points(COUNTS, seed)
    targets = torch.nn.functional.one_hot(labels, 3).double()
    network = torch.nn.Linear(2, 3, dtype=torch.float64)
    torch.nn.init.zeros_(network.weight)
    torch.nn.init.zeros_(network.bias)
    optimizer = torch.optim.LBFGS(network.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(network(places), targets).mean() + 1e-5 * network.weight.square().sum()
        value.backward()
        return value

    optimizer.step(closure)
    return network.requires_grad_(False)


def oracle(logits: torch.Tensor, prior: torch.Tensor, tau: float, temperature: float) -> torch.Tensor:
    """The formula in plain loops."""
    teachers, images, classes = logits.shape
    found = torch.zeros(images, classes, dtype=torch.float64)
    for image in range(images):
        for teacher in range(teachers):
            powers = []
            for label in range(classes):
                lowered = float(logits[teacher, image, label]) - tau * float(prior[label])
                powers.append(math.exp(lowered / temperature))
            for label in range(classes):
                found[image, label] += powers[label] / sum(powers) / teachers
    return found


@pytest.mark.parametrize(("tau", "temperature"), [(0.0, 1.0), (0.7, 1.0), (1.3, 4.0)])
def test_labels_follow_the_formula(tau, temperature):
    logits = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    prior = log_prior((50, 20, 5, 1))
    found = calibrated(logits, prior, tau, temperature)
    assert torch.allclose(found, oracle(logits, prior, tau, temperature), atol=1e-12)
    assert torch.allclose(found.sum(1), torch.ones(5, dtype=torch.float64))


def test_tau_one_undoes_the_prior_of_a_perfect_teacher():
    """Bayes: log p(y | x) under priors, less the log priors, is the posterior under equal priors."""
    places, _ = points((4, 4, 4), 3)
    biased = likelihoods(places) + log_prior(COUNTS)
    assert torch.allclose(calibrated(biased[None], log_prior(COUNTS), 1.0), likelihoods(places).softmax(1))


def test_balanced_nll_weighs_every_class_alike():
    probabilities = torch.tensor([[0.5, 0.5, 0.0]] * 3 + [[0.75, 0.25, 0.0]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 1])
    assert balanced_nll(probabilities, labels) == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert math.isfinite(balanced_nll(probabilities, torch.tensor([2, 0, 0, 0])))


@pytest.mark.parametrize("bias", [0.0, 0.5, 1.0, 1.5])
def test_auto_finds_the_bias_that_perfect_teachers_have(bias):
    places, labels = points((4000, 4000, 4000), 5)
    logits = likelihoods(places) + bias * log_prior(COUNTS)
    found = choose_tau(torch.stack([logits, logits]), labels, log_prior(COUNTS), "dev")
    assert found.tau == pytest.approx(bias, abs=0.11) and found.tau in GRID
    assert len(found.losses) == len(GRID) and found.as_dict()["measured_on"] == "dev"


def test_trained_teachers_need_it_after_cross_entropy_and_not_after_balanced_softmax():
    places, labels = points((3000, 3000, 3000), 7)
    found = {}
    for name, loss in (("plain", cross_entropy), ("balanced", balanced_softmax(COUNTS))):
        logits = torch.stack([taught(loss, seed)(places) for seed in range(3)])
        found[name] = choose_tau(logits, labels, log_prior(COUNTS), "dev").tau
    assert abs(found["plain"] - 1) <= 0.3 and found["balanced"] <= 0.3


def test_without_a_long_tail_nothing_is_taken_off():
    places, labels = points((50, 50, 50), 9)
    assert choose_tau(likelihoods(places)[None], labels, log_prior((7, 7, 7)), "dev").tau == 0


def test_labels_of_stored_images_are_those_of_what_students_see(data, pool):
    """Decoded as stored, one row per decoded image; τ 0 is the mean of the teachers' softmax."""
    shape = data  # has the size, counts, mean and std of a manifest
    images = data.images[:4]
    found = soft_labels(images, 2, shape, pool, 2.0, PriorCalibration(0.0))
    logits = teacher_logits(pool, decode(images.float() / 255, 2, 8), data.mean, data.std)
    assert logits.shape == (2, 16, 3)
    assert torch.equal(found.probabilities, (logits / 2).softmax(2).mean(0)) and found.teacher == "2 x convnet"
    shifted = soft_labels(images, 2, shape, pool, 2.0, PriorCalibration(0.5))
    assert shifted.probabilities[:, 2].mean() > found.probabilities[:, 2].mean()
    assert shifted.teacher == "2 x convnet, prior calibration 0.5"
    assert PriorCalibration(0.5).as_dict() == {"tau": 0.5}
