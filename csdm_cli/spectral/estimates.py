"""A class's characteristic function as its few images show it, and better guesses at it.

|φ| tells how far a class spreads: near 0, log|φ(ω)| = −ωᵀΣω/2 with its covariance Σ. Few images show it badly: too
large, for n equal phases add up to n² where n random ones add up to n, and with much noise. Both estimates here
multiply φ by a number of at least 0, so that its phase stays. They look at real classes and have no use for gradients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from csdm_cli.device import to_device
from csdm_cli.spectral.characteristic import Ecf


def debiased(measured: Ecf, counts: Sequence[int]) -> Ecf:
    """|φ|² from n images without what their number alone adds: (n|φ̂|² − 1)/(n − 1), but at least 0.

    For independent images E|φ̂|² = |φ|² + (1 − |φ|²)/n, so that it is |φ|² on average, the clamp aside.

    Args:
        measured: measured characteristic functions of C classes, (C, K).
        counts: images that each class's function comes from. A single one tells nothing of spread and is left as it is.

    Returns:
        (C, K), of the same phase.
    """
    n = _column(counts, measured.re)
    noise = 1 / n
    squared = (measured.re.square() + measured.im.square()).clamp(min=noise)
    factor = ((n - 1 / squared) / (n - 1).clamp(min=1)).clamp(min=0).sqrt()
    return _times(measured, torch.where(n > 1, factor, 1.0))


def borrowed(measured: Ecf, counts: Sequence[int], strength: float) -> Ecf:
    """|φ_c|^(1 − s_c) · exp(s_c·m): log|φ| drawn towards its mean over all classes, the more the smaller the class.

    m = Σ_c n_c log|φ_c| / Σ_c n_c at every frequency, which for small ω is the pooled covariance that linear
    discriminant analysis gives all classes; s_c = strength·(1 − log n_c / log n_max): nothing for the largest class,
    ``strength`` for a class of one image. No |φ_c| counts as less than 1/√n_c, which n_c random phases have, so that
    a class's noise near a zero of φ does not decide.

    Args:
        measured: measured characteristic functions of all C classes, (C, K).
        counts: how many images there are of each class.
        strength: within [0, 1].

    Returns:
        (C, K), of the same phase, and |φ| within [0, 1] where it was.
    """
    n = _column(counts, measured.re)
    logarithm = (measured.re.square() + measured.im.square()).clamp(min=1 / n).log() / 2
    mean = (n * logarithm).sum(0) / n.sum()
    return _times(measured, (_column(shares(counts, strength), n) * (mean - logarithm)).exp())


def shares(counts: Sequence[int], strength: float) -> list[float]:
    """s_c of :func:`borrowed`."""
    largest = math.log(max(counts))
    return [strength * (1 - math.log(n) / largest) if largest else 0.0 for n in counts]


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return to_device(torch.tensor(values, dtype=like.dtype), like.device)[:, None]


def _times(measured: Ecf, factor: Tensor) -> Ecf:
    return Ecf(measured.re * factor, measured.im * factor)
