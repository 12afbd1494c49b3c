"""Characteristic functions and their distances in complex arithmetic, one frequency and one image at a time."""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from csdm_cli.spectral import distance
from csdm_cli.spectral.characteristic import Ecf


def characteristic_function(features: Tensor, frequencies: Tensor) -> list[complex]:
    """φ(ω_k) = mean_j exp(i ω_k·f_j) of one class, for every k."""
    values = []
    for omega in frequencies.tolist():
        total = 0j
        for feature in features.tolist():
            total += cmath.exp(1j * math.fsum(w * f for w, f in zip(omega, feature, strict=True)))
        values.append(total / len(features))
    return values


def by_class(features: Tensor, frequencies: Tensor, counts: Sequence[int]) -> list[list[complex]]:
    """The characteristic function of each class of class-sorted rows."""
    return [characteristic_function(part, frequencies) for part in features.split(list(counts))]


def debiased(transform: list[complex], images: int) -> list[complex]:
    """Amplitude √max(0, (n|φ|² - 1)/(n - 1)), phase as it is; of one image, as it is."""
    if images == 1:
        return transform
    squares = [(images * abs(p) ** 2 - 1) / (images - 1) for p in transform]
    return [
        cmath.rect(math.sqrt(max(0.0, square)), cmath.phase(p)) for square, p in zip(squares, transform, strict=True)
    ]


def borrowed(transforms: list[list[complex]], counts: Sequence[int], strength: float) -> list[list[complex]]:
    """|φ_c| exp(s_c (m - L_c)), L_c = log max(|φ_c|, n_c^-½), m its mean weighed by n_c, phases as they are."""
    found = []
    for transform, count in zip(transforms, counts, strict=True):
        share = strength * (1 - math.log(count) / math.log(max(counts))) if max(counts) > 1 else 0.0
        own = []
        for k, p in enumerate(transform):
            logs = [math.log(max(abs(each[k]), n**-0.5)) for each, n in zip(transforms, counts, strict=True)]
            mean = math.fsum(n * value for n, value in zip(counts, logs, strict=True)) / sum(counts)
            moved = share * (mean - math.log(max(abs(p), count**-0.5)))
            own.append(cmath.rect(abs(p) * math.exp(moved), cmath.phase(p)))
        found.append(own)
    return found


def amplitude(p: complex, q: complex) -> float:
    return (abs(p) - abs(q)) ** 2


def phase(p: complex, q: complex) -> float:
    return 2 * abs(p) * abs(q) * (1 - math.cos(cmath.phase(p) - cmath.phase(q)))


def class_distance(real: list[complex], synthetic: list[complex], alpha: float) -> float:
    """mean_k [α·amplitude + (1 - α)·phase] of one class."""
    terms = [alpha * amplitude(p, q) + (1 - alpha) * phase(p, q) for p, q in zip(real, synthetic, strict=True)]
    return math.fsum(terms) / len(terms)


def root_distance(real: list[complex], synthetic: list[complex], alpha: float) -> float:
    """mean_k √(α·amplitude + (1 - α)·phase) of one class."""
    terms = [
        math.sqrt(alpha * amplitude(p, q) + (1 - alpha) * phase(p, q)) for p, q in zip(real, synthetic, strict=True)
    ]
    return math.fsum(terms) / len(terms)


def sdd(real: list[complex], synthetic: list[complex]) -> float:
    """mean_k |φ_P - φ_Q|² of one class."""
    return math.fsum(abs(p - q) ** 2 for p, q in zip(real, synthetic, strict=True)) / len(real)


def cfd(real: list[complex], synthetic: list[complex]) -> float:
    """mean_k |φ_P - φ_Q| of one class."""
    return math.fsum(abs(p - q) for p, q in zip(real, synthetic, strict=True)) / len(real)


def amplitude_phase(real: Ecf, synthetic: Ecf) -> tuple[Tensor, Tensor]:
    """The parts of csdm's own distance at every frequency, each (C, K): its ends in α, every frequency a class."""
    apart = [Ecf(*(part.reshape(-1, 1) for part in (ecf.re, ecf.im))) for ecf in (real, synthetic)]
    ends = (torch.full((synthetic.re.numel(),), alpha) for alpha in (1.0, 0.0))
    amplitude, phase = (distance.class_distance(*apart, alpha=alpha).reshape(synthetic.re.shape) for alpha in ends)
    return amplitude, phase
