"""Kernel matrices against their formulas; frequencies against the kernels they belong to."""

from __future__ import annotations

import math

import pytest
import torch

from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.names import KernelName
from csdm_cli.seeds import generator
from csdm_cli.spectral.kernels import (
    MEDIAN_ROWS,
    SHIFT_INVARIANT,
    check_shape,
    kernel_matrix,
    median_distance,
    relative_lengths,
    sample_frequencies,
)
from csdm_cli.spectral.mmd import biased_mmd2
from tests.reference import mmd as reference

SHAPES = {KernelName.polynomial: 3.0}
MEASURES = [
    (KernelName.rbf, 1.5),
    (KernelName.laplace, 1.5),
    (KernelName.matern, 0.5),
    (KernelName.matern, 0.8),
    (KernelName.matern, 1.5),
    (KernelName.matern, 4.0),
    (KernelName.rational_quadratic, 0.4),
    (KernelName.rational_quadratic, 2.0),
]
SHAPED = [
    *((name, 1.5) for name in KernelName if name is not KernelName.polynomial),
    (KernelName.matern, 0.5),
    (KernelName.matern, 2.5),
    (KernelName.matern, 6.5),
    (KernelName.rational_quadratic, 0.3),
    (KernelName.polynomial, 1.0),
    (KernelName.polynomial, 3.0),
]


def points(rows: int, dim: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, dim, generator=generator(seed), dtype=torch.float64)


@pytest.mark.parametrize(("name", "shape"), SHAPED)
def test_matrix_equals_the_formula(name, shape):
    x, y = points(4, 3, 0), points(5, 3, 1)
    kappa = reference.kernel(name, 1.7, shape)
    expected = [[kappa(a, b) for b in y.tolist()] for a in x.tolist()]
    torch.testing.assert_close(
        kernel_matrix(name, x, y, 1.7, shape), torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(("name", "shape"), [(n, s) for n, s in SHAPED if n in SHIFT_INVARIANT])
def test_shift_invariant_kernels_are_one_at_zero_and_unmoved_by_shifts(name, shape):
    x, y = points(4, 3, 0), points(5, 3, 1)
    torch.testing.assert_close(kernel_matrix(name, x, x, 0.9, shape).diagonal(), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(
        kernel_matrix(name, x + 3, y + 3, 0.9, shape), kernel_matrix(name, x, y, 0.9, shape), rtol=1e-10, atol=1e-12
    )


def test_matern_of_a_half_is_the_exponential_of_the_distance():
    x, y = points(4, 3, 0), points(5, 3, 1)
    torch.testing.assert_close(
        kernel_matrix(KernelName.matern, x, y, 2.0, 0.5), (-torch.cdist(x, y) / 2.0).exp(), rtol=1e-12, atol=0
    )


def test_matern_tends_to_the_rbf_as_nu_grows():
    x, y = points(4, 3, 0), points(5, 3, 1)
    rbf = kernel_matrix(KernelName.rbf, x, y, 2.0, 1.0)
    gaps = [(kernel_matrix(KernelName.matern, x, y, 2.0, nu) - rbf).abs().max().item() for nu in (2.5, 10.5, 40.5)]
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2]
    assert gaps[2] < 0.01


@pytest.mark.parametrize(("name", "shape"), SHAPED)
def test_matrix_gradients_equal_finite_differences(name, shape):
    x, y = points(3, 2, 0).requires_grad_(), points(2, 2, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: kernel_matrix(name, a, b, 1.3, shape), (x, y))


@pytest.mark.parametrize("name", [KernelName.rbf, KernelName.laplace, KernelName.matern, KernelName.cosine])
def test_matrix_gradients_are_finite_where_points_coincide(name):
    x = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    kernel_matrix(name, x, x.detach(), 1.0, 0.5).sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize(("name", "shape"), MEASURES)
@pytest.mark.parametrize("count", [16, 256])
def test_cosine_means_converge_to_the_kernel_as_one_over_root_k(name, shape, count):
    """(κ_K - κ)·√K/σ has mean 0 and variance 1 over independent drawings, σ² = (1 + κ(2δ))/2 - κ(δ)²."""
    drawings, length = 500, 1.6
    delta = torch.tensor([0.7, -0.2, 0.9], dtype=torch.float64)
    kappa = reference.kernel(name, length, shape)
    exact = kappa([0.0] * 3, delta.tolist())
    sigma = math.sqrt((1 + kappa([0.0] * 3, (2 * delta).tolist())) / 2 - exact**2)
    omega = sample_frequencies(
        name, count * drawings, 3, length, shape, generator(1, name, str(shape), count), dtype=torch.float64
    )
    z = ((omega @ delta).cos().view(drawings, count).mean(1) - exact) * math.sqrt(count) / sigma
    assert abs(z.mean().item()) < 4 / math.sqrt(drawings)
    assert abs(z.square().mean().item() - 1) < 4 * math.sqrt(2 / drawings)  # the variance of z² is 2, or less


@pytest.mark.parametrize(("name", "shape"), MEASURES)
@pytest.mark.parametrize("mixture", [2, 3])
def test_cosine_means_of_a_mixture_converge_to_the_mean_of_its_kernels(name, shape, mixture):
    count, length = 30_000, 1.1
    omega = sample_frequencies(name, count, 3, length, shape, generator(5, mixture), dtype=torch.float64)
    omega = omega / relative_lengths(count, mixture)
    octaves = {2: [0.5**0.5, 2**0.5], 3: [0.5, 1.0, 2.0]}[mixture]
    kernels = [reference.kernel(name, length * octave, shape) for octave in octaves]
    for delta in ([0.7, -0.2, 0.9], [0.1, 0.3, 0.0], [2.0, 1.0, -1.0]):
        exact = sum(kernel([0.0] * 3, delta) for kernel in kernels) / mixture
        estimate = (omega @ torch.tensor(delta, dtype=torch.float64)).cos().mean().item()
        assert abs(estimate - exact) < 4 / math.sqrt(count)


@pytest.mark.parametrize(("count", "mixture"), [(12, 1), (12, 3), (13, 3), (7, 4), (4, 4)])
def test_the_kernels_of_a_mixture_have_equally_many_frequencies_or_one_more(count, mixture):
    values, sizes = relative_lengths(count, mixture).unique_consecutive(return_counts=True)
    assert sizes.sum() == count and sizes.max() - sizes.min() <= 1
    assert values.log2().tolist() == pytest.approx([j - (mixture - 1) / 2 for j in range(mixture)])


@pytest.mark.parametrize(("name", "shape"), MEASURES)
def test_every_coordinate_direction_has_the_kernels_decay(name, shape):
    """κ at points along and across the axes: what a wrong norm or one χ² per coordinate would miss."""
    count, length = 40_000, 0.8
    omega = sample_frequencies(name, count, 4, length, shape, generator(2), dtype=torch.float64)
    kappa = reference.kernel(name, length, shape)
    for delta in ([0.5, 0, 0, 0], [0, 0, 0, 1.5], [0.4, 0.4, 0.4, 0.4], [1.0, -1.0, 0, 0]):
        estimate = (omega @ torch.tensor(delta, dtype=torch.float64)).cos().mean().item()
        assert abs(estimate - kappa([0.0] * 4, delta)) < 5 / math.sqrt(count)


@pytest.mark.parametrize(("name", "shape"), MEASURES)
def test_frequencies_follow_the_seed_the_length_and_the_dtype(name, shape):
    draw = [sample_frequencies(name, 5, 7, 1.0, shape, generator(3)) for _ in range(2)]
    assert draw[0].shape == (5, 7) and draw[0].dtype == torch.float32
    assert torch.equal(draw[0], draw[1])
    torch.testing.assert_close(sample_frequencies(name, 5, 7, 4.0, shape, generator(3)), draw[0] / 4)
    assert not torch.equal(sample_frequencies(name, 5, 7, 1.0, shape, generator(4)), draw[0])
    assert sample_frequencies(name, 5, 7, 1.0, shape, generator(3), dtype=torch.float64).dtype == torch.float64


def test_frequencies_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    for name in SHIFT_INVARIANT:
        sample_frequencies(name, 4, 3, 1.0, 1.5, generator(5))
    assert torch.equal(torch.get_rng_state(), before)


def test_heavy_tails_stay_finite_in_float32():
    for name in (KernelName.laplace, KernelName.matern, KernelName.rational_quadratic):
        omega = sample_frequencies(name, 20_000, 3, 0.5, 0.02, generator(6))
        assert torch.isfinite(omega).all()


def test_sets_of_kernels_are_those_of_the_table():
    with_measure = {KernelName.rbf, KernelName.laplace, KernelName.matern, KernelName.rational_quadratic}
    assert with_measure == SHIFT_INVARIANT


@pytest.mark.parametrize("name", sorted(set(KernelName) - SHIFT_INVARIANT))
def test_kernels_without_a_measure_are_refused(name):
    with pytest.raises(UsageError, match=rf"the {name} kernel is not shift-invariant.*laplace, matern, rational-q"):
        sample_frequencies(name, 4, 3, 1.0, 2.0, generator(0))


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        (KernelName.matern, 0.0, "the matern kernel's shape is 0, but must be a positive number"),
        (KernelName.rational_quadratic, -1.0, "the rational-quadratic kernel's shape is -1, but must be"),
        (KernelName.matern, math.inf, "the matern kernel's shape is inf"),
        (KernelName.polynomial, 1.5, "the polynomial kernel's degree is 1.5, but must be a whole number"),
        (KernelName.polynomial, 0.0, "the polynomial kernel's degree is 0"),
        (KernelName.polynomial, math.nan, "the polynomial kernel's degree is nan"),
    ],
)
def test_impossible_shapes_are_refused(name, shape, message):
    with pytest.raises(UsageError, match=message):
        check_shape(name, shape)
    with pytest.raises(UsageError, match=message):
        kernel_matrix(name, points(2, 2, 0), points(2, 2, 1), 1.0, shape)


def test_kernels_without_a_shape_accept_any():
    for name in (KernelName.rbf, KernelName.laplace, KernelName.linear, KernelName.cosine, KernelName.sigmoid):
        check_shape(name, -3.0)


def test_the_matern_matrix_wants_a_half_integer():
    with pytest.raises(UsageError, match=r"the matern kernel's shape is 1, but it has a closed form only for 0.5"):
        kernel_matrix(KernelName.matern, points(2, 2, 0), points(2, 2, 1), 1.0, 1.0)


@pytest.mark.parametrize("length", [0.0, -1.0, math.nan, math.inf])
def test_impossible_lengths_are_refused(length):
    with pytest.raises(UsageError, match=r"the kernel's length is .*: expected a positive number"):
        sample_frequencies(KernelName.rbf, 2, 2, length, 1.0, generator(0))
    with pytest.raises(UsageError, match=r"the kernel's length is .*: expected a positive number"):
        kernel_matrix(KernelName.rbf, points(2, 2, 0), points(2, 2, 1), length, 1.0)


@pytest.mark.parametrize("name", list(KernelName))
def test_median_is_over_pairs_of_different_rows_in_the_kernels_norm(name):
    x = points(6, 3, 0)
    order = 1 if name is KernelName.laplace else 2
    pairs = sorted((x[i] - x[j]).norm(p=order).item() for i in range(6) for j in range(i))
    assert median_distance(x, name) == pytest.approx(pairs[7], rel=1e-12)  # the middle of 15


def test_median_of_many_rows_compares_a_fixed_or_a_drawn_share_of_them():
    x = points(MEDIAN_ROWS + 500, 2, 0)
    exact = torch.pdist(x).median().item()
    spread = median_distance(x, KernelName.rbf)
    assert spread == median_distance(x, KernelName.rbf) == pytest.approx(exact, rel=0.05)
    drawn = [median_distance(x, KernelName.rbf, generator(seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[2] == pytest.approx(exact, rel=0.05)


def test_evenly_spaced_rows_reach_the_last_class():
    """Class-sorted rows: the first thousand alone would be one class, with a median distance of zero."""
    x = torch.arange(10.0).repeat_interleave(MEDIAN_ROWS)[:, None]
    assert median_distance(x, KernelName.rbf) == 3.0


def test_median_takes_half_precision_and_leaves_no_gradient():
    x = points(6, 3, 0).to(torch.bfloat16).requires_grad_()
    assert median_distance(x, KernelName.rbf) == pytest.approx(median_distance(x.double(), KernelName.rbf), rel=1e-6)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.ones(5, 3), "features of most pairs of real images are equal"),
        (torch.full((5, 3), math.nan), "features of the real images are not finite"),
        (torch.ones(1, 3), "at least two images, received 1"),
    ],
)
def test_features_without_a_median_are_refused_in_one_line(features, message):
    with pytest.raises(CsdmError, match=message) as caught:
        median_distance(features, KernelName.rbf)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, UsageError)


@pytest.mark.parametrize("name", list(KernelName))
def test_biased_mmd_equals_the_loops(name):
    x, y = points(5, 3, 0), points(4, 3, 1) + 0.3
    shape = SHAPES.get(name, 1.5)
    expected = reference.biased_mmd2(x, y, reference.kernel(name, 1.2, shape))
    assert biased_mmd2(x, y, name, 1.2, shape).item() == pytest.approx(expected, rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("name", list(KernelName))
def test_mmd_of_a_set_with_itself_is_zero_and_symmetric(name):
    x, y, shape = points(5, 3, 0), points(4, 3, 1), SHAPES.get(name, 1.5)
    assert biased_mmd2(x, x.flip(0), name, 1.2, shape).abs() < 1e-12
    torch.testing.assert_close(biased_mmd2(x, y, name, 1.2, shape), biased_mmd2(y, x, name, 1.2, shape))


@pytest.mark.parametrize("name", sorted(SHIFT_INVARIANT))
def test_universal_kernels_see_sets_of_equal_mean_and_covariance_apart(name):
    """Two points at ±1, and their like with kurtosis: only a kernel that sees beyond two moments tells them apart."""
    x = torch.tensor([[-1.0], [-1.0], [1.0], [1.0]], dtype=torch.float64)
    y = torch.tensor([[-(2**0.5)], [0.0], [0.0], [2**0.5]], dtype=torch.float64)
    assert biased_mmd2(x, y, name, 1.0, 1.5) > 1e-3
    assert biased_mmd2(x, y, KernelName.linear, 1.0, 1.0).abs() < 1e-15
    assert biased_mmd2(x, y, KernelName.polynomial, 1.0, 2.0).abs() < 1e-12


def test_linear_mmd_is_the_squared_distance_of_the_means():
    x, y = points(5, 3, 0), points(4, 3, 1)
    torch.testing.assert_close(
        biased_mmd2(x, y, KernelName.linear, 1.0, 1.0), (x.mean(0) - y.mean(0)).square().sum(), rtol=1e-12, atol=1e-14
    )


def test_cosine_mmd_is_the_linear_one_of_normalised_points():
    x, y = points(5, 3, 0), points(4, 3, 1)
    unit_x, unit_y = x / x.norm(dim=1, keepdim=True), y / y.norm(dim=1, keepdim=True)
    torch.testing.assert_close(
        biased_mmd2(x, y, KernelName.cosine, 1.0, 1.0), biased_mmd2(unit_x, unit_y, KernelName.linear, 1.0, 1.0)
    )


def test_rbf_mmd_in_the_plane_is_a_series_of_weighted_moments():
    x, y = points(6, 2, 0), points(5, 2, 1) * 0.7 + 0.2
    exact = biased_mmd2(x, y, KernelName.rbf, 1.1, 1.0).item()
    errors = [abs(reference.weighted_moment_mmd2(x, y, 1.1, order) - exact) for order in (2, 6, 40)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-13
