"""Kernels κ(x, y), and the spectral measures of those that have one.

A bounded, continuous, shift-invariant, positive-definite kernel is the Fourier transform of a probability
measure Λ (Bochner): κ(x - y) = E_{ω~Λ} exp(i ω·(x - y)). Frequencies drawn from Λ turn the kernel's MMD²
into a mean over characteristic functions (Rahimi and Recht 2007). ℓ is the kernel's length throughout.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize

from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.names import FrequencyRule, KernelName
from csdm_cli.spectral.points import ANISOTROPIC, cauchy_points, normal_points

Matrix = Callable[[Tensor, Tensor, float, float], Tensor]
Sampler = Callable[[FrequencyRule, int, int, float, torch.Generator, torch.dtype], Tensor]

# Rows whose pairwise distances are taken for the median: half a million pairs.
MEDIAN_ROWS = 1024


def check_shape(name: KernelName, shape: float) -> None:
    """Refuses a shape that the kernel cannot have; kernels without a shape accept any.

    Raises:
        UsageError: if ν of matern or a of rational-quadratic is not positive, or the degree of polynomial is
            not a whole number of at least 1.
    """
    if name == KernelName.polynomial and not (shape >= 1 and float(shape).is_integer()):
        raise UsageError(
            f"the polynomial kernel's degree is {shape:g}, but must be a whole number of at least 1, e.g. 2"
        )
    shaped = name in {KernelName.matern, KernelName.rational_quadratic}
    if shaped and not (shape > 0 and math.isfinite(shape)):
        raise UsageError(f"the {name} kernel's shape is {shape:g}, but must be a positive number, e.g. 1.5")


def check_rule(name: KernelName, rule: FrequencyRule) -> None:
    """Refuses a rule that the kernel's frequencies cannot follow.

    Raises:
        UsageError: for orthogonal frequencies of laplace, whose measure no rotation leaves as it is.
    """
    if name == KernelName.laplace and rule == FrequencyRule.orthogonal:
        raise UsageError(ANISOTROPIC)


def sample_frequencies(
    name: KernelName,
    count: int,
    dim: int,
    length: float,
    shape: float,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
    rule: FrequencyRule = FrequencyRule.monte_carlo,
) -> Tensor:
    """Frequencies from a kernel's spectral measure, on the generator's device.

    ===================  ========================================================================
    rbf                  N(0, I/ℓ²)
    laplace              product of Cauchy(0, 1/ℓ)
    matern               multivariate t with 2ν degrees of freedom and scale 1/ℓ
    rational-quadratic   √τ·z with z ~ N(0, I) and one τ ~ Gamma(shape a, rate aℓ²) per frequency
    ===================  ========================================================================

    Args:
        name: a kernel of ``SHIFT_INVARIANT``.
        count: number of frequencies K.
        dim: dimension D of the features.
        length: ℓ, in the units of the features.
        shape: ν of matern, a of rational-quadratic; the others have none.
        generator: the only source of randomness.
        dtype: type of the drawing and of the result; the same seed gives other numbers in another dtype.
        rule: how the frequencies are spread; each one alone follows the measure under every rule.

    Returns:
        Frequencies, shape (K, D). In float32 the heavy tails stay finite for any ν and a.

    Raises:
        UsageError: if the kernel has no spectral measure, or a shape or rule it cannot have.
    """
    if name not in SHIFT_INVARIANT:
        known = ", ".join(sorted(SHIFT_INVARIANT))
        raise UsageError(f"the {name} kernel is not shift-invariant and has no frequencies; use one of {known}")
    check_shape(name, shape)
    _check_length(length)
    return _SAMPLERS[name](rule, count, dim, shape, generator, dtype).div_(length)  # a copy's hole may never be filled


def relative_lengths(count: int, mixture: int) -> Tensor:
    """The length of each frequency's kernel in a mixture of kernels, relative to the middle: (count, 1).

    The lengths are ``mixture`` octaves, 2^(j − (mixture − 1)/2). Frequencies of length 1 divided by them follow the
    spectral measure of the kernels' mean. The kernels have neighbouring frequencies, which keeps the order in
    point sets that have one, and equally many, or one more.
    """
    kernels = torch.arange(count) * mixture // count
    relative: Tensor = 2.0 ** (kernels.double() - (mixture - 1) / 2)
    return relative[:, None]


def kernel_matrix(name: KernelName, x: Tensor, y: Tensor, length: float, shape: float) -> Tensor:
    """κ between all rows of ``x`` (n, D) and all rows of ``y`` (m, D): shape (n, m), differentiable in both.

    ===================  ========================================================================
    rbf                  exp(-‖x-y‖₂²/(2ℓ²))
    laplace              exp(-‖x-y‖₁/ℓ)
    matern               in closed form for ν = 1/2, 3/2, 5/2, …; ν = 1/2 is exp(-‖x-y‖₂/ℓ)
    rational-quadratic   (1 + ‖x-y‖₂²/(2aℓ²))^(-a)
    linear               x·y (no length)
    cosine               x·y/(‖x‖₂‖y‖₂) (no length; 0 at the origin)
    polynomial           (x·y/ℓ² + 1)^degree
    sigmoid              tanh(x·y/ℓ²); not positive definite, so its MMD² may be negative
    ===================  ========================================================================

    Raises:
        UsageError: if the shape is not one the kernel can have, or ν of matern is not a half-integer.
    """
    check_shape(name, shape)
    _check_length(length)
    return _MATRICES[name](x, y, length, shape)


def median_distance(features: Tensor, name: KernelName, generator: torch.Generator | None = None) -> float:
    """The median distance between different rows, in the kernel's own norm: L1 for laplace, L2 for all others.

    Of more than ``MEDIAN_ROWS`` rows, that many are compared: evenly spaced ones, or random ones if a
    generator is given. Of an even number of distances, the lower middle one is the median.

    Args:
        features: shape (N, D), at least two rows.
        name: the kernel whose length is to be set.
        generator: draws the rows to compare.

    Raises:
        CsdmError: if the median is zero or not finite, or there are fewer than two rows.
    """
    if len(features) < 2:
        raise CsdmError(f"a median distance needs at least two images, received {len(features)}")
    rows = _rows_to_compare(len(features), generator).to(features.device)
    compared = features.detach()[rows]
    compared = compared.to(torch.promote_types(compared.dtype, torch.float32))
    median = torch.pdist(compared, p=1.0 if name == KernelName.laplace else 2.0).median().item()
    if not math.isfinite(median):
        raise CsdmError("the features of the real images are not finite: check the images and the teacher")
    if median == 0:
        raise CsdmError(
            "the features of most pairs of real images are equal, which leaves the kernel without a length: "
            "check the images and the teacher"
        )
    return median


def _rows_to_compare(available: int, generator: torch.Generator | None) -> Tensor:
    if available <= MEDIAN_ROWS:
        return torch.arange(available)
    if generator is None:
        return torch.arange(MEDIAN_ROWS) * available // MEDIAN_ROWS
    return torch.randperm(available, generator=generator, device=generator.device)[:MEDIAN_ROWS]


def _check_length(length: float) -> None:
    if not (length > 0 and math.isfinite(length)):
        raise UsageError(f"the kernel's length is {length:g}: expected a positive number")


# Spectral measures at ℓ = 1: (rule, count, dim, shape, generator, dtype) -> (K, D).


def _normal(
    rule: FrequencyRule, count: int, dim: int, shape: float, generator: torch.Generator, dtype: torch.dtype
) -> Tensor:
    return normal_points(rule, count, dim, generator, dtype)


def _cauchy(
    rule: FrequencyRule, count: int, dim: int, shape: float, generator: torch.Generator, dtype: torch.dtype
) -> Tensor:
    return cauchy_points(rule, count, dim, generator, dtype)


def _student(
    rule: FrequencyRule, count: int, dim: int, shape: float, generator: torch.Generator, dtype: torch.dtype
) -> Tensor:
    """z·√(2ν/χ²), one χ² with 2ν degrees of freedom per frequency: 2·Gamma(ν)."""
    normal = normal_points(rule, count, dim, generator, dtype)
    return normal.mul_((shape / _gamma(count, shape, generator, dtype)).sqrt())


def _gamma_mixture(
    rule: FrequencyRule, count: int, dim: int, shape: float, generator: torch.Generator, dtype: torch.dtype
) -> Tensor:
    normal = normal_points(rule, count, dim, generator, dtype)
    return normal.mul_((_gamma(count, shape, generator, dtype) / shape).sqrt())


def _gamma(count: int, shape: float, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Gamma(shape, rate 1), shape (K, 1). torch.distributions would draw it from the global generator."""
    return torch._standard_gamma(
        torch.full((count, 1), shape, device=generator.device, dtype=dtype), generator=generator
    )


# Kernel matrices: (x, y, length, shape) -> (n, m).


def _rbf(x: Tensor, y: Tensor, length: float, shape: float) -> Tensor:
    return (-0.5 * (_l2(x, y) / length).square()).exp()


def _laplace(x: Tensor, y: Tensor, length: float, shape: float) -> Tensor:
    return (-torch.cdist(x, y, p=1.0) / length).exp()


def _matern(x: Tensor, y: Tensor, length: float, shape: float) -> Tensor:
    """ν = p + 1/2: e^(-s) p!/(2p)! Σ_i (p+i)!/(i!(p-i)!) (2s)^(p-i) (Rasmussen and Williams 2006, eq. 4.16)."""
    if not (shape - 0.5).is_integer():
        raise UsageError(f"the matern kernel's shape is {shape:g}, but it has a closed form only for 0.5, 1.5, 2.5, …")
    p = int(shape - 0.5)
    s = math.sqrt(2 * shape) / length * _l2(x, y)
    series = torch.zeros_like(s)
    for i in range(p + 1):  # Horner's rule, the highest power first
        above, below = math.factorial(p) * math.factorial(p + i), math.factorial(i) * math.factorial(p - i)
        series = series * (2 * s) + above / (math.factorial(2 * p) * below)
    return (-s).exp() * series


def _rational_quadratic(x: Tensor, y: Tensor, length: float, shape: float) -> Tensor:
    return (1 + (_l2(x, y) / length).square() / (2 * shape)) ** (-shape)


def _linear(x: Tensor, y: Tensor, length: float, shape: float) -> Tensor:
    return x @ y.T


def _cosine(x: Tensor, y: Tensor, length: float, shape: float) -> Tensor:
    return normalize(x, dim=1) @ normalize(y, dim=1).T


def _polynomial(x: Tensor, y: Tensor, length: float, shape: float) -> Tensor:
    return (x @ y.T / length**2 + 1) ** int(shape)


def _sigmoid(x: Tensor, y: Tensor, length: float, shape: float) -> Tensor:
    return (x @ y.T / length**2).tanh()


def _l2(x: Tensor, y: Tensor) -> Tensor:
    """Distances without the GEMM trick, which loses small distances to cancellation; its gradient at 0 is 0."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


_SAMPLERS: dict[KernelName, Sampler] = {
    KernelName.rbf: _normal,
    KernelName.laplace: _cauchy,
    KernelName.matern: _student,
    KernelName.rational_quadratic: _gamma_mixture,
}
_MATRICES: dict[KernelName, Matrix] = {
    KernelName.rbf: _rbf,
    KernelName.laplace: _laplace,
    KernelName.matern: _matern,
    KernelName.rational_quadratic: _rational_quadratic,
    KernelName.linear: _linear,
    KernelName.cosine: _cosine,
    KernelName.polynomial: _polynomial,
    KernelName.sigmoid: _sigmoid,
}

SHIFT_INVARIANT = frozenset(_SAMPLERS)
"""Kernels with a spectral measure: those that frequencies can be drawn for; all are universal."""
