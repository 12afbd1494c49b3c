from __future__ import annotations

import pytest
import torch
from torch import Tensor

from csdm_cli.parameterisations.frequency import (
    Frequency,
    class_masks,
    dct,
    dct_matrix,
    explained_variance,
    images_of_bytes,
    inverse_dct,
    unpacked,
)
from csdm_cli.parameterisations.parameterisation import Shape
from tests.parameterisations.conftest import SHAPE, smooth_images
from tests.reference import frequency as reference

FULL = torch.ones(SHAPE.classes, SHAPE.size, SHAPE.size, dtype=torch.bool)


@pytest.mark.parametrize("size", [1, 2, 7, 32])
def test_transform_is_orthonormal(size: int) -> None:
    D = dct_matrix(size)
    torch.testing.assert_close(D @ D.T, torch.eye(size, dtype=torch.float64), rtol=0, atol=1e-13)
    images = torch.randn(2, 3, size, size, dtype=torch.float64)
    torch.testing.assert_close(dct(images).square().sum(), images.square().sum())  # Parseval
    torch.testing.assert_close(inverse_dct(dct(images)), images, rtol=0, atol=1e-12)


def test_transform_is_the_released_one_up_to_its_scale() -> None:
    """Theirs has D·Dᵀ = diag(4N, 2N, …, 2N) along each axis."""
    size = 5
    image = torch.randn(size, size, dtype=torch.float64)
    scale = torch.tensor([4.0 * size] + [2.0 * size] * (size - 1), dtype=torch.float64).sqrt()
    theirs = reference.dct_of_released_code(image)
    torch.testing.assert_close(dct(image) * scale[:, None] * scale[None], theirs, rtol=1e-12, atol=1e-12)


def test_with_a_full_mask_it_is_pixels(images: Tensor) -> None:
    whole = Frequency(SHAPE, per_class=4, masks=FULL)
    torch.testing.assert_close(whole.decode(whole.initial(images)), images, rtol=0, atol=1e-13)
    assert whole.numbers() == images.numel()


def test_sgd_with_momentum_on_all_coefficients_is_sgd_on_pixels(images: Tensor) -> None:
    whole = Frequency(SHAPE, per_class=4, masks=FULL)
    target = smooth_images(len(images), seed=10)
    pixels = images.clone().requires_grad_(True)
    (coefficients,) = (leaf.requires_grad_(True) for leaf in whole.initial(images).values())
    optimizers = [torch.optim.SGD([leaf], lr=0.3, momentum=0.5) for leaf in (pixels, coefficients)]
    for _ in range(6):
        for optimizer, seen in zip(
            optimizers, (lambda: pixels, lambda: whole.decode({"coefficients": coefficients})), strict=True
        ):
            optimizer.zero_grad()
            (seen() - target).abs().pow(1.5).sum().backward()
            optimizer.step()
    assert (pixels - images).abs().max() > 0.01
    torch.testing.assert_close(whole.decode({"coefficients": coefficients}), pixels, rtol=0, atol=1e-12)


def test_decoding_what_was_encoded_is_a_projection(images: Tensor) -> None:
    some = Frequency(SHAPE, 4, class_masks([smooth_images(20, seed=s) for s in range(3)], kept=7))
    once = some.decode(some.initial(images))
    torch.testing.assert_close(some.decode(some.initial(once)), once, rtol=0, atol=1e-13)
    # An orthogonal one: what was lost has nothing in common with what was kept.
    lost = images - once
    assert lost.norm() > 0.01
    assert abs(float((lost * once).sum())) < 1e-10


def test_coefficients_stand_where_the_classes_masks_are(images: Tensor) -> None:
    masks = class_masks([smooth_images(20, seed=s) for s in range(3)], kept=7)
    some = Frequency(SHAPE, 4, masks)
    kept = dct(some.decode(some.initial(images))).unflatten(0, (3, 4))
    for label in range(3):
        assert not kept[label][..., ~masks[label]].abs().gt(1e-12).any()
        expected = dct(images).unflatten(0, (3, 4))[label][..., masks[label]]
        torch.testing.assert_close(kept[label][..., masks[label]], expected, rtol=0, atol=1e-12)


def test_explained_variance_is_a_share() -> None:
    share = explained_variance(smooth_images(30))
    assert share.min() >= 0 and share.sum() == pytest.approx(1, abs=1e-12)
    assert not explained_variance(smooth_images(1)).any()
    assert not explained_variance(smooth_images(1).expand(5, -1, -1, -1)).any()


def test_explained_variance_of_white_noise_is_flat() -> None:
    noise = torch.randn(20000, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    share = explained_variance(noise)
    # A variance of 20,000 normal numbers has a relative deviation of 1 %.
    torch.testing.assert_close(share, torch.full_like(share, 1 / 16), rtol=0.05, atol=0)


def test_images_that_differ_in_brightness_vary_in_one_coefficient() -> None:
    picture = smooth_images(1)
    bright = picture + torch.linspace(-0.3, 0.3, 11, dtype=torch.float64).view(-1, 1, 1, 1)
    share = explained_variance(bright)
    assert share[0, 0] == pytest.approx(1, abs=1e-12)
    (mask,) = class_masks([bright], kept=1, prior_images=0)
    assert mask[0, 0] and mask.sum() == 1


def test_mask_loses_the_least_variance_of_all() -> None:
    rng = torch.Generator().manual_seed(2)
    real = torch.randn(40, 1, 3, 3, generator=rng, dtype=torch.float64) * torch.rand(3, 3, generator=rng) * 2
    coefficients = dct(real).flatten(1)
    for kept in (2, 3, 5, 9):
        (mask,) = class_masks([real], kept, prior_images=0)
        others = {1 + place for place in reference.best_mask(coefficients[:, 1:], kept - 1)}
        assert set(mask.flatten().nonzero().flatten().tolist()) == {0} | others


def test_the_mean_of_an_image_is_never_lost() -> None:
    """It is so for a class that is always as bright, in which anything else varies more."""
    rng = torch.Generator().manual_seed(5)
    coefficients = torch.randn(40, 1, 4, 4, generator=rng, dtype=torch.float64)
    coefficients[:, 0, 0, 0] = 2
    real = inverse_dct(coefficients)
    assert explained_variance(real)[0, 0] < 1e-12
    for kept in (1, 3, 16):
        (mask,) = class_masks([real], kept, prior_images=0)
        assert mask[0, 0] and mask.sum() == kept
    kept_images = inverse_dct(dct(real) * class_masks([real], 3)[0])
    torch.testing.assert_close(kept_images.mean((1, 2, 3)), real.mean((1, 2, 3)))


def test_a_class_of_few_images_borrows_from_the_others() -> None:
    rng = torch.Generator().manual_seed(3)

    def varying(row: int, column: int, count: int) -> Tensor:
        coefficients = torch.zeros(count, 1, 4, 4, dtype=torch.float64)
        coefficients[:, 0, row, column] = torch.randn(count, generator=rng, dtype=torch.float64)
        return inverse_dct(coefficients)

    head, tail, single = varying(0, 1, 500), varying(3, 3, 9), varying(2, 2, 1)
    alone = class_masks([head, tail, single], kept=2, prior_images=0)  # one beside the mean
    assert alone[0, 0, 1] and alone[1, 3, 3] and alone[2, 0, 1]  # a single image tells nothing: lowest first
    shrunk = class_masks([head, tail, single], kept=2)
    assert shrunk[0, 0, 1] and shrunk[1, 0, 1] and shrunk[2, 0, 1]
    # Another kept: the tail's own comes next.
    assert class_masks([head, tail, single], kept=3)[1, 3, 3]


def test_variances_are_pooled_by_their_degrees_of_freedom() -> None:
    """Among n images n-1 are free: with the prior's 64, so much of its own variance and of all classes' counts.

    Of four coefficients that vary, class by class, the ranks under these weights alone are other ones than under n.
    """
    n = (2, 9)
    parts = torch.tensor([[0.62, 0.38], [0.44, 0.56]], dtype=torch.float64)  # explained variance of two coefficients
    sets = []
    for count, own in zip(n, parts, strict=True):
        # ±a around a mean has the variance a²·(k/n) whatever the order; equal halves, and one in the middle if odd.
        signs = torch.zeros(count, dtype=torch.float64)
        signs[: count // 2], signs[count // 2 : 2 * (count // 2)] = 1, -1
        coefficients = torch.zeros(count, 1, 4, 4, dtype=torch.float64)
        coefficients[:, 0, 0, 1], coefficients[:, 0, 2, 3] = signs * own[0].sqrt(), signs * own[1].sqrt()
        sets.append(inverse_dct(coefficients))
    for real, own in zip(sets, parts, strict=True):
        found = explained_variance(real)
        torch.testing.assert_close(torch.stack([found[0, 1], found[2, 3]]), own)

    def kept_first(prior: float, weights: tuple[int, int]) -> list[int]:
        common = (torch.tensor(weights, dtype=torch.float64)[:, None] * parts).sum(0) / sum(weights)
        shrunk = [(w * own + prior * common) / (w + prior) for w, own in zip(weights, parts, strict=True)]
        return [int(row.argmax()) for row in shrunk]

    # The first class has 1 free image of 2: at a prior of 3.5 images its own variance loses, as it would not with 2.
    prior = 3.5
    assert kept_first(prior, (1, 8)) == [1, 1] and kept_first(prior, (2, 9)) == [0, 1]
    masks = class_masks(sets, kept=2, prior_images=prior)  # one beside the mean
    assert [bool(mask[2, 3]) for mask in masks] == [True, True]


def test_equal_variances_go_to_low_frequencies() -> None:
    (mask,) = class_masks([torch.ones(4, 1, 3, 3)], kept=3)
    assert mask.nonzero().tolist() == [[0, 0], [0, 1], [1, 0]]


def test_images_for_a_budget_of_bytes_fit_and_one_more_does_not() -> None:
    shape = Shape(classes=10, channels=3, size=32)
    budget = 10 * shape.pixels  # as many bytes as 1 image per class
    count = images_of_bytes(budget, 64, shape)
    masks = torch.zeros(10, 1024, dtype=torch.bool)
    masks[:, :64] = True
    weight = [Frequency(shape, m, masks.view(10, 32, 32)).bytes() for m in (count, count + 1)]
    assert count == 7 and weight[0] <= budget < weight[1]
    assert images_of_bytes(100, 64, shape) == 0


def test_masks_come_back_from_their_bits() -> None:
    shape = Shape(classes=2, channels=1, size=5)
    masks = class_masks([smooth_images(9, seed=s, shape=shape) for s in (4, 5)], kept=6)
    stored = Frequency(shape, 1, masks).stored({"coefficients": torch.zeros(2, 1, 6)})
    assert stored["masks"].shape == (2, 4) and torch.equal(unpacked(stored["masks"], shape), masks)
