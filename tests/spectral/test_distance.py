"""Distances between characteristic functions: the identities they obey, and where float32 would lose them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from csdm_cli.names import KernelName
from csdm_cli.seeds import generator
from csdm_cli.spectral.characteristic import EPSILON, Ecf, ecf
from csdm_cli.spectral.distance import class_distance, sdd
from csdm_cli.spectral.kernels import sample_frequencies
from csdm_cli.spectral.mmd import biased_mmd2
from tests.reference import mmd as reference_mmd
from tests.reference import spectral as reference
from tests.reference.spectral import amplitude_phase

COUNTS = [5, 3]
ALPHA = torch.tensor([0.7, 0.2], dtype=torch.float64)


def drawn(rows: int, dim: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, dim, generator=generator(seed), dtype=torch.float64)


@pytest.fixture
def sides() -> tuple[Ecf, Ecf]:
    """Two classes at 40 frequencies: 5 and 3 real features, 2 and 4 synthetic ones."""
    frequencies = drawn(40, 3, 2)
    return ecf(drawn(8, 3, 0), frequencies, COUNTS), ecf(0.8 * drawn(6, 3, 1) + 0.1, frequencies, [2, 4])


def loops(values: Ecf) -> list[list[complex]]:
    return torch.complex(values.re, values.im).tolist()


def random_ecf(seed: int, scale: float = 0.5, shape: tuple[int, int] = (2, 5)) -> Ecf:
    re, im = scale * torch.randn(2, *shape, generator=generator(seed), dtype=torch.float64)
    return Ecf(re, im)


@pytest.mark.parametrize("name", [KernelName.rbf, KernelName.laplace, KernelName.matern, KernelName.rational_quadratic])
@pytest.mark.parametrize("count", [1, 7])
def test_sdd_is_the_biased_mmd_of_the_cosine_mean_kernel(name, count):
    x, y = drawn(6, 3, 0), drawn(4, 3, 1) + 0.2
    frequencies = sample_frequencies(name, count, 3, 1.2, 1.5, generator(5), dtype=torch.float64)
    expected = reference_mmd.biased_mmd2(x, y, reference_mmd.cosine_mean_kernel(frequencies))
    assert sdd(ecf(x, frequencies, [6]), ecf(y, frequencies, [4])).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", [KernelName.rbf, KernelName.laplace, KernelName.matern, KernelName.rational_quadratic])
def test_sdd_estimates_the_mmd_without_bias(name):
    """|Δφ(ω)|² over independent frequencies: the mean within four standard errors of the quadratic-time MMD²."""
    x, y, count = drawn(12, 3, 0), 0.6 * drawn(9, 3, 1) + 0.4, 20_000
    frequencies = sample_frequencies(name, count, 3, 1.2, 1.5, generator(5), dtype=torch.float64)
    real, synthetic = ecf(x, frequencies, [12]), ecf(y, frequencies, [9])
    squared = (real.re - synthetic.re).square() + (real.im - synthetic.im).square()
    exact = biased_mmd2(x, y, name, 1.2, 1.5)
    assert (sdd(real, synthetic) - exact).abs() < 4 * squared.std() / math.sqrt(count)
    assert exact > 40 * squared.std() / math.sqrt(count)  # so the bound says something


def test_distances_equal_the_loops(sides):
    real, synthetic = sides
    for c, (p, q) in enumerate(zip(loops(real), loops(synthetic), strict=True)):
        alpha = ALPHA[c].item()
        assert sdd(real, synthetic)[c].item() == pytest.approx(reference.sdd(p, q), rel=1e-12)
        squared = class_distance(real, synthetic, ALPHA)[c].item()
        assert squared == pytest.approx(reference.class_distance(p, q, alpha), rel=1e-10)
        root = class_distance(real, synthetic, ALPHA, root=True)[c].item()
        assert root == pytest.approx(reference.root_distance(p, q, alpha), abs=math.sqrt(EPSILON))


def test_amplitude_and_phase_equal_their_definitions(sides):
    real, synthetic = sides
    amplitude, phase = amplitude_phase(real, synthetic)
    pairs = [zip(p, q, strict=True) for p, q in zip(loops(real), loops(synthetic), strict=True)]
    expected = [[(reference.amplitude(p, q), reference.phase(p, q)) for p, q in pair] for pair in pairs]
    table = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(amplitude, table[..., 0], rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(phase, table[..., 1], rtol=1e-8, atol=1e-10)


def test_amplitude_and_phase_add_up_to_the_squared_difference(sides):
    real, synthetic = sides
    amplitude, phase = amplitude_phase(real, synthetic)
    squared = (real.re - synthetic.re).square() + (real.im - synthetic.im).square()
    torch.testing.assert_close(amplitude + phase, squared, rtol=0, atol=1e-12)


def test_the_stable_form_is_the_product_form(sides):
    real, synthetic = sides
    amplitude = (real.amplitude(0) - synthetic.amplitude(0)).square()
    product = real.amplitude(0) * synthetic.amplitude(0) - real.re * synthetic.re - real.im * synthetic.im
    expected = (ALPHA[:, None] * amplitude + (1 - ALPHA[:, None]) * 2 * product).mean(1)
    torch.testing.assert_close(class_distance(real, synthetic, ALPHA), expected, rtol=1e-10, atol=1e-12)


def test_half_alpha_is_half_the_sdd_exactly(sides):
    half = torch.full((2,), 0.5)
    assert torch.equal(class_distance(*sides, half), sdd(*sides) / 2)


def test_alpha_is_a_convex_combination_of_the_two_parts(sides):
    amplitude, phase = (part.mean(1) for part in amplitude_phase(*sides))
    for value in (0.01, 0.3, 0.99):
        torch.testing.assert_close(
            class_distance(*sides, torch.tensor([value, value])),
            value * amplitude + (1 - value) * phase,
            rtol=1e-6,
            atol=1e-9,
        )


def test_cfd_and_sdd_bound_each_other(sides):
    for p, q, value in zip(loops(sides[0]), loops(sides[1]), sdd(*sides).tolist(), strict=True):
        cfd = reference.cfd(p, q)
        assert cfd <= math.sqrt(value) + 1e-12
        assert value <= 2 * cfd + 1e-12


def test_equal_sets_have_distance_zero_in_any_order_and_multiplicity():
    x, frequencies = drawn(6, 3, 0), drawn(40, 3, 1)
    real = ecf(x, frequencies, [6])
    assert sdd(real, ecf(x, frequencies, [6])).item() == 0
    for same in (x.flip(0), x.repeat(3, 1)):
        assert sdd(real, ecf(same, frequencies, [len(same)])).item() < 1e-30
        assert class_distance(real, ecf(same, frequencies, [len(same)]), ALPHA[:1]).abs().item() < 1e-30


def test_a_shift_is_all_phase_and_a_mirror_keeps_the_amplitude():
    x, frequencies = drawn(6, 3, 0), drawn(40, 3, 1)
    real = ecf(x, frequencies, [6])
    for other in (x + 0.5, -x):
        amplitude, phase = amplitude_phase(real, ecf(other, frequencies, [6]))
        assert amplitude.max() < 1e-24
        assert phase.mean() > 0.1


@pytest.mark.parametrize("root", [False, True])
def test_no_nan_and_no_gradient_where_the_sides_are_equal(root):
    x, frequencies = drawn(6, 3, 0).float(), drawn(40, 3, 1).float()
    synthetic = x.clone().requires_grad_()
    distance = class_distance(ecf(x, frequencies, [6]), ecf(synthetic, frequencies, [6]), ALPHA[:1], root=root)
    assert distance.item() == pytest.approx(math.sqrt(EPSILON) if root else 0.0, rel=1e-6)
    distance.sum().backward()
    assert torch.equal(synthetic.grad, torch.zeros_like(x))


@pytest.mark.parametrize("root", [False, True])
@pytest.mark.parametrize("alpha", [1e-9, 0.3, 1 - 1e-9])
def test_no_nan_where_both_sides_vanish(root, alpha):
    zero = Ecf(torch.zeros(1, 4), torch.zeros(1, 4))
    own = Ecf(torch.zeros(1, 4, requires_grad=True), torch.zeros(1, 4, requires_grad=True))
    class_distance(zero, own, torch.tensor([alpha]), root=root).sum().backward()
    assert torch.equal(own.re.grad, torch.zeros(1, 4)) and torch.equal(own.im.grad, torch.zeros(1, 4))


def test_no_nan_where_rounding_makes_the_amplitude_part_exceed_the_whole():
    """Sides of equal phase and an α next to 0: the sum under the root is zero up to either sign of rounding."""
    real = single(random_ecf(0, shape=(1, 1000)))
    own = Ecf((1.1 * real.re).requires_grad_(), (1.1 * real.im).requires_grad_())
    distance = class_distance(real, own, torch.tensor([1e-9]), root=True)
    distance.sum().backward()
    assert torch.isfinite(distance).all() and torch.isfinite(own.re.grad).all()


@pytest.mark.parametrize("root", [False, True])
def test_gradients_equal_finite_differences(root):
    real, own = random_ecf(0), random_ecf(1)

    def distance(re: torch.Tensor, im: torch.Tensor) -> torch.Tensor:
        return class_distance(real, Ecf(re, im), ALPHA, root=root)

    assert torch.autograd.gradcheck(distance, (own.re.requires_grad_(), own.im.requires_grad_()))


@pytest.mark.parametrize("root", [False, True])
@pytest.mark.parametrize("scale", [1e-6, 1e-4])
def test_gradients_equal_finite_differences_near_zero(scale, root):
    """Where |φ| bends within √ε = 1e-6: steps far below it, and a real side that makes the bend matter."""
    real, own = random_ecf(0), random_ecf(1, scale)

    def distance(re: torch.Tensor, im: torch.Tensor) -> torch.Tensor:
        return class_distance(real, Ecf(re, im), ALPHA, root=root)

    inputs = (own.re.requires_grad_(), own.im.requires_grad_())
    assert torch.autograd.gradcheck(distance, inputs, eps=1e-9, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("root", [False, True])
def test_gradients_through_the_features_equal_finite_differences(root):
    frequencies, real = drawn(4, 3, 1), ecf(drawn(5, 3, 0), drawn(4, 3, 1), [2, 3])

    def distance(features: torch.Tensor) -> torch.Tensor:
        return class_distance(real, ecf(features, frequencies, [2, 2]), ALPHA, root=root)

    assert torch.autograd.gradcheck(distance, (drawn(4, 3, 2).requires_grad_(),))


def near_optimum() -> tuple[Ecf, Ecf]:
    """Float32 sides that differ by 1e-4, in float64."""
    real, step = random_ecf(0, 0.3, (1, 4096)), random_ecf(1, 1e-4, (1, 4096))
    own = Ecf(real.re + step.re, real.im + step.im)
    return tuple(Ecf(side.re.float().double(), side.im.float().double()) for side in (real, own))


def single(values: Ecf) -> Ecf:
    return Ecf(values.re.float(), values.im.float())


@pytest.mark.parametrize("root", [False, True])
@pytest.mark.parametrize("alpha", [0.05, 0.3, 0.5, 0.7, 0.95])
def test_float32_keeps_its_digits_near_the_optimum(alpha, root):
    real, own = near_optimum()
    weight = torch.tensor([alpha], dtype=torch.float64)
    exact = class_distance(real, own, weight, root=root)
    torch.testing.assert_close(
        class_distance(single(real), single(own), weight, root=root).double(), exact, rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("alpha", [0.05, 0.3, 0.7, 0.95])
def test_float32_gradients_keep_their_digits_near_the_optimum(alpha):
    real, own = near_optimum()
    gradients = []
    for p, q in ((real, own), (single(real), single(own))):
        re, im = q.re.clone().requires_grad_(), q.im.clone().requires_grad_()
        class_distance(p, Ecf(re, im), torch.tensor([alpha])).sum().backward()
        gradients.append(torch.stack([re.grad, im.grad]).double())
    assert (gradients[1] - gradients[0]).norm() < 1e-5 * gradients[0].norm()


def test_the_product_form_would_lose_them():
    """The reason for the form in use: the same phase part, multiplied out in float32, is mostly rounding."""
    real, own = near_optimum()
    _, exact = amplitude_phase(real, own)
    p, q = single(real), single(own)
    product = 2 * (p.amplitude() * q.amplitude() - p.re * q.re - p.im * q.im)
    assert (product.double() - exact).norm() > exact.norm()
    assert (product < 0).any()
    _, ours = amplitude_phase(p, q)
    assert (ours.double() - exact).norm() < 1e-5 * exact.norm()


def test_the_result_has_the_sides_dtype_whatever_alphas(sides):
    assert class_distance(*sides, ALPHA.float()).dtype == torch.float64
    assert class_distance(*(single(side) for side in sides), ALPHA).dtype == torch.float32


coordinate = st.floats(-1, 1, allow_subnormal=False)


@settings(max_examples=100)
@given(
    p=st.tuples(coordinate, coordinate),
    q=st.tuples(coordinate, coordinate),
    alpha=st.floats(1e-6, 1 - 1e-6),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_distances_are_non_negative_and_at_most_the_squared_difference(p, q, alpha, dtype):
    real, own = (Ecf(*torch.tensor(side, dtype=dtype).view(2, 1, 1)) for side in (p, q))
    squared = sdd(real, own)
    distance = class_distance(real, own, torch.tensor([alpha], dtype=dtype))
    slack = 1 + 1e-5
    assert distance <= squared * slack
    assert distance >= min(alpha, 1 - alpha) * squared / slack - 1e-6 * squared
    amplitude, phase = amplitude_phase(real, own)
    assert amplitude >= 0 and phase >= -1e-6 * (1 + squared), "but for rounding"
    assert torch.isfinite(class_distance(real, own, torch.tensor([alpha], dtype=dtype), root=True))
