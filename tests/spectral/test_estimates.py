"""Estimates of real characteristic functions from few images: against plain loops, and at their limits."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.spectral.characteristic import Ecf, ecf
from csdm_cli.spectral.estimates import borrowed, debiased
from tests.reference import spectral as reference

COUNTS = (40, 9, 2, 1)


def measured(counts=COUNTS, seed: int = 0, dim: int = 3) -> tuple[Ecf, torch.Tensor, torch.Tensor]:
    """Characteristic functions of classes of points in float64, with the points and the frequencies."""
    rng = torch.Generator().manual_seed(seed)
    points = torch.randn(sum(counts), dim, generator=rng, dtype=torch.float64)
    frequencies = torch.randn(30, dim, generator=rng, dtype=torch.float64)
    return ecf(points, frequencies, counts), points, frequencies


def as_complex(transform: Ecf) -> torch.Tensor:
    return torch.complex(transform.re, transform.im)


def test_both_equal_plain_loops():
    own, _, _ = measured()
    lists = as_complex(own).tolist()
    expected = [reference.debiased(each, n) for each, n in zip(lists, COUNTS, strict=True)]
    torch.testing.assert_close(
        as_complex(debiased(own, COUNTS)), torch.tensor(expected, dtype=torch.complex128), rtol=0, atol=1e-9
    )
    for strength in (0.3, 1.0):
        expected = reference.borrowed(lists, COUNTS, strength)
        found = as_complex(borrowed(own, COUNTS, strength))
        torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.complex128), rtol=0, atol=1e-9)


def test_without_its_bias_the_square_is_the_mean_cosine_of_different_pairs():
    own, points, frequencies = measured()
    found = as_complex(debiased(own, COUNTS)).abs().square()
    for label, class_points in enumerate(points.split(list(COUNTS))[:3]):
        n = len(class_points)
        cosines = ((class_points[:, None] - class_points[None]) @ frequencies.T).cos()
        mean = (cosines.sum((0, 1)) - n) / (n * (n - 1))
        assert (mean < 0).any() or label == 2
        torch.testing.assert_close(found[label], mean.clamp(min=0), rtol=0, atol=1e-12)


def test_phases_stay_and_a_single_image_too():
    own, _, _ = measured()
    for found in (debiased(own, COUNTS), borrowed(own, COUNTS, 0.7)):
        cross = as_complex(found) * as_complex(own).conj()
        torch.testing.assert_close(cross.imag, torch.zeros_like(cross.imag), rtol=0, atol=1e-12)
        assert (cross.real >= 0).all() and found.amplitude().max() <= 1 + 1e-9
    single = debiased(own, COUNTS)
    assert torch.equal(single.re[3], own.re[3]) and torch.equal(single.im[3], own.im[3])


def test_many_images_have_no_bias_to_speak_of():
    own, _, _ = measured()
    torch.testing.assert_close(as_complex(debiased(own, (10**9,) * 4)), as_complex(own), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_is_borrowed_at_strength_0_nor_by_the_largest_class_nor_among_equals(dtype):
    own, _, _ = measured()
    own = Ecf(own.re.to(dtype), own.im.to(dtype))
    for found, rows in (
        (borrowed(own, COUNTS, 0.0), slice(None)),
        (borrowed(own, COUNTS, 1.0), slice(0, 1)),
        (borrowed(own, (1, 1, 1, 1), 1.0), slice(None)),
        (borrowed(own, (5, 5, 5, 5), 1.0), slice(None)),
    ):
        assert found.re.dtype == dtype
        assert torch.equal(found.re[rows], own.re[rows]) and torch.equal(found.im[rows], own.im[rows])


def test_a_class_of_one_image_borrows_all_of_its_spread():
    """Exactly the mean of log|φ|; for normal classes of one covariance and many images that is the true spread."""
    frequencies = torch.randn(20, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) / 3
    factor = torch.tensor([[1.0, 0, 0], [0.5, 0.8, 0], [0.2, -0.3, 0.6]], dtype=torch.float64)
    spread = torch.exp(-(frequencies @ factor).square().sum(1) / 2)
    angle = frequencies @ torch.randn(3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    amplitude = torch.stack([spread, spread, torch.ones(20, dtype=torch.float64)])
    own = Ecf(amplitude * angle.T.cos(), amplitude * angle.T.sin())
    found = borrowed(own, (10_000, 10_000, 1), 1.0)
    torch.testing.assert_close(found.amplitude()[2], spread, rtol=1e-3, atol=0)
    torch.testing.assert_close(as_complex(found)[:2], as_complex(own)[:2])


def test_a_zero_of_one_class_is_no_zero_of_another():
    own = Ecf(torch.tensor([[0.0], [0.5]]), torch.zeros(2, 1))
    found = borrowed(own, (100, 4), 1.0)
    assert found.re[0] == 0
    # log|φ| of the first counts as log 1/√100
    share = 1 - torch.tensor(4.0).log() / torch.tensor(100.0).log()
    mean = (100 * torch.tensor(0.1).log() + 4 * torch.tensor(0.5).log()) / 104
    torch.testing.assert_close(found.re[1, 0], torch.exp((1 - share) * torch.tensor(0.5).log() + share * mean))
