"""Points of a standard law in R^D, spread by one of three rules. Every point alone has exactly that law.

* ``monte-carlo``: independent points.
* ``orthogonal``: blocks of up to D points whose directions are the rows of a random rotation and whose lengths are
  independent (Yu et al. 2016, "Orthogonal Random Features", section 3). Needs a law that rotations do not change.
* ``sobol``: a scrambled Sobol sequence, mapped to the law coordinate by coordinate (quasi-Monte-Carlo features,
  Yang et al. 2014).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from csdm_cli.errors import UsageError
from csdm_cli.names import FrequencyRule

SOBOL_DIMENSIONS = torch.quasirandom.SobolEngine.MAXDIM


ANISOTROPIC = "orthogonal frequencies need an isotropic kernel, which laplace is not; use monte-carlo"


def normal_points(rule: FrequencyRule, count: int, dim: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """(count, dim) points of N(0, I), on the generator's device.

    Raises:
        UsageError: if ``dim`` is more than a Sobol sequence has.
    """
    if rule == FrequencyRule.sobol:
        quantiles = math.sqrt(2) * torch.erfinv(2 * _sobol(count, dim, generator) - 1)
        return quantiles.to(generator.device, dtype)
    independent: Tensor = torch.randn(count, dim, generator=generator, device=generator.device, dtype=dtype)
    if rule == FrequencyRule.monte_carlo:
        return independent
    blocks = [_rotation_rows(min(dim, count - start), dim, generator, dtype) for start in range(0, count, dim)]
    lengths: Tensor = independent.norm(dim=1, keepdim=True)
    return torch.cat(blocks) * lengths


def cauchy_points(rule: FrequencyRule, count: int, dim: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """(count, dim) points with independent standard Cauchy coordinates, on the generator's device.

    Raises:
        UsageError: under ``orthogonal``, for rotations change this law; and as :func:`normal_points`.
    """
    if rule == FrequencyRule.orthogonal:
        raise UsageError(ANISOTROPIC)
    if rule == FrequencyRule.sobol:
        return torch.tan(math.pi * (_sobol(count, dim, generator) - 0.5)).to(generator.device, dtype)
    return torch.empty(count, dim, device=generator.device, dtype=dtype).cauchy_(generator=generator)


def _rotation_rows(count: int, dim: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """``count`` rows of a uniformly random rotation: (count, dim), orthonormal."""
    gaussian = torch.randn(dim, count, generator=generator, device=generator.device, dtype=dtype)
    directions, triangle = torch.linalg.qr(gaussian)
    # The sign that makes the factorisation unique, without which the rotation would not be uniform.
    rows: Tensor = (directions * triangle.diagonal().sign()).T
    return rows


def _sobol(count: int, dim: int, generator: torch.Generator) -> Tensor:
    """Scrambled Sobol points in (0, 1), (count, dim) float64 on the CPU."""
    if dim > SOBOL_DIMENSIONS:
        raise UsageError(
            f"a Sobol sequence reaches {SOBOL_DIMENSIONS} dimensions, these features have {dim}; use monte-carlo"
        )
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    points = torch.quasirandom.SobolEngine(dim, scramble=True, seed=seed).draw(count, dtype=torch.float64)
    tiny = 2.0**-33  # below the sequence's resolution: keeps both ends out
    return points.clamp(tiny, 1 - tiny)
