from __future__ import annotations

import pytest
import torch
from torch import Tensor

from csdm_cli.parameterisations import decomposition
from csdm_cli.parameterisations.decomposition import AXES, Decomposition, tensors_of_numbers
from csdm_cli.parameterisations.parameterisation import Leaves, Shape
from tests.parameterisations.conftest import SHAPE, smooth_images


def random_leaves(some: Decomposition, seed: int = 0) -> Leaves:
    rng = torch.Generator().manual_seed(seed)
    zeros = {"spectra": (some.shape.classes * some.tensors, *some.sizes)} | {
        axis: (some.kernels, t, u) for axis, t, u in zip(AXES, some.sizes, (3, 8, 8), strict=True)
    }
    return {name: torch.randn(shape, generator=rng, dtype=torch.float64) for name, shape in zeros.items()}


def test_every_tensor_meets_every_kernel_the_kernels_in_turn() -> None:
    some = Decomposition(SHAPE, tensors=2, kernels=3, sizes=(2, 4, 5))
    leaves = random_leaves(some)
    decoded = some.decode(leaves)
    assert len(decoded) == 3 * 2 * 3
    for i in range(6):
        for j in range(3):
            spectrum, (a, b, c) = leaves["spectra"][i], (leaves[axis][j] for axis in AXES)
            expected = sum(
                spectrum[p, q, r] * a[p][:, None, None] * b[q][None, :, None] * c[r][None, None, :]
                for p in range(2)
                for q in range(4)
                for r in range(5)
            )
            torch.testing.assert_close(decoded[j + i * 3], expected, rtol=1e-11, atol=1e-12)


def test_with_identity_kernels_it_is_pixels(images: Tensor) -> None:
    some = Decomposition(SHAPE, tensors=4, kernels=1, sizes=(3, 8, 8))
    unit = {axis: torch.eye(u, dtype=torch.float64)[None] for axis, u in zip(AXES, (3, 8, 8), strict=True)}
    spectra = images.clone().requires_grad_(True)
    decoded = some.decode({"spectra": spectra} | unit)
    assert torch.equal(decoded, images)
    # With frozen kernels a step of the spectra is that of the pixels.
    weights = torch.randn(images.shape, dtype=torch.float64)
    (derivative,) = torch.autograd.grad((decoded * weights).sum(), [spectra])
    assert torch.equal(derivative, weights)


def test_at_full_rank_it_starts_from_the_images_themselves(images: Tensor) -> None:
    some = Decomposition(SHAPE, tensors=4, kernels=1, sizes=(3, 8, 8))
    torch.testing.assert_close(some.decode(some.initial(images)), images, rtol=0, atol=1e-12)


def test_error_is_at_most_the_discarded_singular_values(images: Tensor) -> None:
    """The truncated higher-order SVD's bound, which the start improves on (De Lathauwer et al. 2000, property 10)."""
    some = Decomposition(SHAPE, tensors=4, kernels=1, sizes=(2, 3, 3))
    error = (some.decode(some.initial(images)) - images).square().sum()
    discarded = sum(
        torch.linalg.svdvals(images.movedim(axis + 1, 0).flatten(1))[rank:].square().sum()
        for axis, rank in enumerate(some.sizes)
    )
    assert 1e-3 < error <= discarded


def test_more_sweeps_never_fit_worse(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    some = Decomposition(SHAPE, tensors=2, kernels=2, sizes=(2, 4, 4))
    errors = []
    for sweeps in (0, 1, 2, 5, 10):
        monkeypatch.setattr(decomposition, "SWEEPS", sweeps)
        errors.append(float((some.decode(some.initial(images)) - images).square().sum()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.9 * errors[0]  # the kernel sets, equal at first, part


def test_start_has_orthonormal_kernels_and_is_the_same_again(images: Tensor) -> None:
    some = Decomposition(SHAPE, tensors=2, kernels=2, sizes=(2, 4, 5))
    leaves, again = some.initial(images), some.initial(images)
    assert all(torch.equal(leaves[name], again[name]) for name in leaves)
    for axis, rank in zip(AXES, some.sizes, strict=True):
        gram = leaves[axis] @ leaves[axis].mT
        torch.testing.assert_close(gram, torch.eye(rank, dtype=torch.float64).expand(2, -1, -1), rtol=0, atol=1e-12)


def test_projection_fixes_the_scale_and_moves_no_image() -> None:
    some = Decomposition(SHAPE, tensors=2, kernels=3, sizes=(2, 4, 5))
    leaves = random_leaves(some)
    before = some.decode(leaves)
    # The same images from other leaves: what kernels gain tensors lose.
    gauged = {name: leaf.clone() for name, leaf in leaves.items()}
    gauged["spectra"] *= 8
    gauged["row_kernels"] /= 8
    for own in (leaves, gauged):
        some.project(own)
        torch.testing.assert_close(some.decode(own), before, rtol=1e-11, atol=1e-11)
        for axis in AXES:
            squares = own[axis].square().sum(2).mean(0)
            torch.testing.assert_close(squares, torch.ones_like(squares))
    for name, leaf in leaves.items():
        torch.testing.assert_close(gauged[name], leaf, rtol=1e-11, atol=1e-12)


def test_projection_survives_a_row_of_zeros() -> None:
    some = Decomposition(SHAPE, tensors=1, kernels=1, sizes=(2, 4, 5))
    leaves = random_leaves(some)
    leaves["row_kernels"][:, 1] = 0
    some.project(leaves)
    assert all(leaf.isfinite().all() for leaf in leaves.values())


def test_twice_the_kernels_are_twice_the_images_and_no_more_spectra() -> None:
    one, two = (Decomposition(SHAPE, 2, kernels, (2, 4, 5)) for kernels in (1, 2))
    per_kernel = 2 * 3 + 4 * 8 + 5 * 8
    assert two.per_class == 2 * one.per_class and two.numbers() - one.numbers() == per_kernel


def test_numbers_of_the_example_for_cifar10_at_one_image_per_class() -> None:
    shape = Shape(classes=10, channels=3, size=32)
    some = Decomposition(shape, tensors=3, kernels=7, sizes=(3, 16, 16))
    assert (some.numbers(), some.per_class) == (30_271, 21)
    assert tensors_of_numbers(30_720, shape, 7, (3, 16, 16)) == 3
    assert tensors_of_numbers(30_270, shape, 7, (3, 16, 16)) == 2
    assert tensors_of_numbers(5_000, shape, 7, (3, 16, 16)) == 0


def test_real_images_fit_better_than_chance_directions() -> None:
    images = smooth_images(12, seed=3)
    some = Decomposition(SHAPE, tensors=4, kernels=1, sizes=(3, 4, 4))
    fitted = (some.decode(some.initial(images)) - images).square().sum()
    # Images made of 4 x 4 numbers a channel, enlarged: a rank of 4 along rows and columns holds them whole.
    assert fitted < 1e-20
