"""Soft labels: the teachers' mean probabilities, freed of the long tail's class priors after the fact.

A network trained by cross-entropy on a long tail learns log p(class | image) under the tail's priors π, so that the
labels it gives are biased towards the head. Labels are therefore the mean over the teachers of
``softmax((f − τ·log π) / T)``. At T = 1 and τ = 1 this is the post-hoc adjustment of Menon et al. 2021 ("Long-tail
learning via logit adjustment", equation 9); for the labels of a distilled set it is the idea of ADSA (arXiv
2511.17914). Teachers trained with balanced softmax, or whose bias was lowered already, carry no prior: for them τ is
near 0.

``auto`` takes the τ of :data:`GRID` whose labels at T = 1 have the lowest balanced negative log-likelihood, the
mean over classes of the mean −log p(true class), on images that have a true class and are not test images. Likelihood
rather than accuracy, because the labels are probabilities; T = 1, because that is where teachers learn their
probabilities: T only softens what is unbiased by then. (ADSA equalises the mean confidence per class on the distilled
images instead, which no true label checks.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from csdm_cli.artifacts.distilled import SoftLabels
from csdm_cli.data.store import Manifest
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.multi_formation import decode
from csdm_cli.teachers.pool import TeacherPool
from csdm_cli.training.inference import predict
from csdm_cli.training.losses import log_prior

GRID = tuple(step / 10 for step in range(21))  # of τ
DIGITS = 9  # likelihoods equal to so many digits are equal: of those the smallest τ is taken


@dataclass(frozen=True)
class PriorCalibration:
    """How much of the log priors is taken off the teachers' logits, and why so much.

    Attributes:
        tau: the factor τ ≥ 0; 0 leaves the logits as they are.
        measured_on: the images that chose it, ``dev`` or ``train``; None if it was given.
        losses: balanced negative log-likelihood at each τ tried, in nats.
    """

    tau: float
    measured_on: str | None = None
    losses: tuple[tuple[float, float], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON values for an artifact's provenance."""
        described: dict[str, Any] = {"tau": self.tau}
        if self.measured_on is not None:
            tried = {f"{tau:g}": round(loss, 6) for tau, loss in self.losses}
            described |= {"measured_on": self.measured_on, "balanced_nll": tried}
        return described


def calibrated(logits: Tensor, prior: Tensor, tau: float, temperature: float = 1.0) -> Tensor:
    """The mean over teachers of ``softmax((f − τ·log π) / T)``.

    Args:
        logits: (M, N, C) of M teachers.
        prior: log π, (C,).
        tau: τ.
        temperature: T.

    Returns:
        (N, C), rows summing to 1.
    """
    return ((logits - tau * prior.to(logits)) / temperature).softmax(2).mean(0)


def balanced_nll(probabilities: Tensor, labels: Tensor) -> float:
    """The mean over the classes present of their images' mean −log p(true class), in nats.

    Args:
        probabilities: (N, C).
        labels: (N,) true classes.
    """
    true = probabilities.gather(1, labels[:, None]).squeeze(1).clamp_min(torch.finfo(probabilities.dtype).tiny)
    counts = torch.bincount(labels, minlength=probabilities.shape[1])
    sums = torch.zeros_like(probabilities[0]).index_add_(0, labels, -true.log())
    present = counts > 0
    return float((sums[present] / counts[present]).mean())


def choose_tau(logits: Tensor, labels: Tensor, prior: Tensor, measured_on: str) -> PriorCalibration:
    """The τ of :data:`GRID` with the lowest balanced negative log-likelihood at T = 1.

    Args:
        logits: (M, N, C) of M teachers.
        labels: (N,) true classes.
        prior: log π, (C,).
        measured_on: these images' name.
    """
    exact = logits.double()
    losses = tuple((tau, balanced_nll(calibrated(exact, prior, tau), labels)) for tau in GRID)
    tau, _ = min(losses, key=lambda pair: (round(pair[1], DIGITS), pair[0]))
    return PriorCalibration(tau, measured_on, losses)


def measure_tau(pool: TeacherPool, held_out: ImageSet, counts: tuple[int, ...], measured_on: str) -> PriorCalibration:
    """:func:`choose_tau` for the teachers of ``pool``, trained on ``counts`` images per class, on ``held_out``."""
    logits = teacher_logits(pool, held_out.images, held_out.mean, held_out.std)
    return choose_tau(logits, held_out.labels, log_prior(counts), measured_on)


def teacher_logits(pool: TeacherPool, images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Logits of every teacher for every image: (M, N, C), on the device of ``images`` (N, channels, H, W)."""
    networks = (pool.network(number).to(images.device) for number in range(len(pool)))
    return torch.stack([predict(network, images, mean, std) for network in networks])


def soft_labels(
    images: Tensor,
    factor: int,
    shape: Manifest,
    pool: TeacherPool,
    temperature: float,
    calibration: PriorCalibration,
) -> SoftLabels:
    """Labels of the images decoded from ``images``, as they are stored.

    Args:
        images: (N, channels, h, h) uint8, on the device to compute on.
        factor: cells per side.
        shape: shape of the long-tailed training set: image size, normalisation and class counts.
        pool: the teachers.
        temperature: T.
        calibration: τ.
    """
    decoded = decode(images.float() / 255, factor, shape.size)
    logits = teacher_logits(pool, decoded, shape.mean, shape.std)
    probabilities = calibrated(logits, log_prior(shape.counts), calibration.tau, temperature)
    teacher = f"{len(pool)} x {pool.spec.name}"
    if calibration.tau:
        teacher += f", prior calibration {calibration.tau:g}"
    return SoftLabels(probabilities.cpu(), temperature, teacher)
