from dataclasses import replace

import pytest
import torch
from torch.autograd import gradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from csdm_cli.images.augment import (
    Augmentation,
    _bilinear_weights,
    _kind,
    _warp,
    affine_matrices,
    augment,
    cutmix,
    draw,
    parse_strategy,
)
from csdm_cli.images.augmentation_parameters import COLUMN, PARAMETERS, Theta
from tests.reference.augment import augment_one
from tests.reference.theta import identity, theta_with

ALL = parse_strategy("color_crop_cutout_flip_scale_rotate")


HEAVY = {"grid_sampler_2d", "addcmul", "masked_fill"}


class Operations(TorchDispatchMode):
    """The first axis of the largest tensor that each operation takes."""

    def __init__(self):
        super().__init__()
        self.rows = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        size = max((arg.shape[0] for arg in args if isinstance(arg, torch.Tensor) and arg.ndim), default=0)
        self.rows[name] = max(size, self.rows.get(name, 0))
        return func(*args, **(kwargs or {}))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_images(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def theta_of(*settings):
    """One row per dict of parameter values."""
    values = identity(len(settings)).values.clone()
    for row, setting in enumerate(settings):
        for name, value in setting.items():
            values[row, COLUMN[name]] = value
    return theta_with(values)


def warp_matrices(theta, size, dtype=torch.float32):
    """The warp of each row as a linear map of flattened images: (G, size², size²), output pixel by input pixel."""
    matrices = affine_matrices(theta, size, dtype)
    return _bilinear_weights(_warp(matrices, size, matrices.device).points())


def settings_of(theta):
    return [dict(zip(PARAMETERS, row, strict=True)) for row in theta.values.tolist()]


def everything():
    """Rows in which all operations meet, which neither mode draws: they fix the order of composition."""
    colour = draw(generator(1), 4, ("color", "cutout", "flip"), "compose").values
    warps = [
        draw(generator(seed), 4, (name,), "single").values for seed, name in enumerate(("crop", "scale", "rotate"))
    ]
    neutral = identity(4).values
    return theta_with(colour + sum(warp - neutral for warp in warps))


THETAS = {
    "single": draw(generator(2), 12, ALL, "single"),
    "compose": draw(generator(3), 6, ALL, "compose"),
    "everything": everything(),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("kind", THETAS)
def test_equals_the_reference(kind, size, channels):
    theta = THETAS[kind]
    images = random_images(len(theta), channels, size, size)
    expected = torch.stack([augment_one(*pair) for pair in zip(images, settings_of(theta), strict=True)])
    assert torch.allclose(augment(images, theta), expected, atol=1e-12)
    assert torch.allclose(augment(images.float(), theta).double(), expected, atol=2e-5)


def shared(images, theta, dense):
    """Each row of θ for as many images as every other."""
    return Augmentation.of(theta, images, dense=dense)(images)


@pytest.mark.parametrize("each", [1, 3])
@pytest.mark.parametrize("kind", THETAS)
def test_a_row_serves_the_images_that_follow_one_another_forward_and_backward(kind, each):
    theta = THETAS[kind]
    images = random_images(each * len(theta), 3, 8, 8)
    owner = torch.arange(len(theta)).repeat_interleave(each)
    results = []
    for apply in (
        lambda x: torch.cat([augment(x[i : i + 1], theta.rows([row])) for i, row in enumerate(owner.tolist())]),
        lambda x: shared(x, theta, dense=False),
        lambda x: shared(x, theta, dense=True),
    ):
        pixels = images.clone().requires_grad_()
        result = apply(pixels)
        (gradient,) = torch.autograd.grad(result.square().sum(), pixels)
        results.append((result.detach(), gradient))
    for alone, sampled, dense in zip(*results, strict=True):
        assert torch.equal(alone, sampled)
        assert torch.allclose(sampled, dense, atol=1e-12)


@pytest.mark.parametrize("kind", THETAS)
def test_a_gpu_takes_all_rows_at_once_for_the_same_images(kind):
    """An operation applied to all rows there changes nothing in those that do not carry it."""
    theta = THETAS[kind]
    images = random_images(len(theta), 3, 8, 8).float()
    operations = frozenset().union(*(theta.rows([row]).operations for row in range(len(theta))))
    elsewhere = Augmentation.of(Theta(theta.values.to("meta"), operations), images.to("meta"))
    assert elsewhere.order is None and len(elsewhere.kinds) == 1
    everything = replace(
        Augmentation.of(theta, images),
        order=None,
        kinds=(_kind(theta, affine_matrices(theta, 8), None, (True, True, True), 8, images.device),),
    )
    assert torch.equal(everything(images), augment(images, theta))


def test_what_no_row_carries_costs_nothing():
    """Work is seen as operations on tensors of the images' size."""
    images = random_images(6, 3, 8, 8)
    for setting, absent in (
        ({}, {"grid_sampler_2d", "addcmul", "masked_fill"}),
        ({"contrast": 1.2}, {"grid_sampler_2d", "masked_fill"}),
        ({"angle": 5.0}, {"addcmul", "masked_fill"}),
        ({"cutout": 1.0, "hole_x": 0.5}, {"grid_sampler_2d", "addcmul"}),
    ):
        theta = theta_of({}, setting, {})
        with Operations() as seen:
            augment(images, theta)
        assert not absent & set(seen.rows)
        assert all(rows <= 2 for name, rows in seen.rows.items() if name in HEAVY), "of one row of three"
    with Operations() as seen:
        assert augment(images, identity(1)) is images
    assert not HEAVY & set(seen.rows)


def test_warp_matrices_are_the_reference_on_every_basis_image():
    size = 5
    theta = theta_of({"angle": 12.0, "scale_x": 0.9, "scale_y": 1.15, "shift_x": 0.9, "flip": 1.0})
    basis = torch.eye(size**2, dtype=torch.float64).view(-1, 1, size, size)
    columns = [augment_one(image, settings_of(theta)[0]).flatten() for image in basis]
    assert torch.allclose(warp_matrices(theta, size, torch.float64)[0], torch.stack(columns, 1), atol=1e-12)


@pytest.mark.parametrize("kind", THETAS)
def test_gradients_are_those_of_finite_differences(kind):
    theta = THETAS[kind].rows(slice(0, 3))
    images = random_images(3, 2, 5, 5).requires_grad_()
    assert gradcheck(lambda x: augment(x, theta), images)
    assert gradcheck(lambda x: shared(x, theta, dense=True), images)
    assert gradcheck(lambda x: shared(x, theta.rows([0]), dense=False), images)


def test_one_row_serves_all_images():
    theta = everything().rows([2])
    images = random_images(5, 3, 8, 8)
    assert torch.allclose(augment(images, theta), augment(images, theta.rows([0] * 5)), atol=1e-14)


@pytest.mark.parametrize("size", [28, 32, 33])
def test_identity_rows_come_out_bit_for_bit(size):
    images = random_images(3, 3, size, size).float()
    theta = theta_of({}, {"angle": 10.0}, {})
    out = augment(images, theta)
    assert torch.equal(out[[0, 2]], images[[0, 2]]) and not torch.equal(out[1], images[1])
    assert augment(images, identity(3)) is images
    assert torch.equal(warp_matrices(identity(1), size)[0], torch.eye(size**2))


@pytest.mark.parametrize("size", [28, 32])
def test_flip_and_crop_are_exact_moves_of_pixels(size):
    images = random_images(2, 3, size, size).float()
    reach = round(size / 8)
    out = augment(images, theta_of({"flip": 1.0}, {"shift_x": -1.0, "shift_y": 0.999}))
    assert torch.allclose(out[0], images[0].flip(-1), atol=1e-5)
    expected = torch.zeros_like(images[1])
    expected[:, : size - reach, reach:] = images[1, :, reach:, : size - reach]
    assert torch.allclose(out[1], expected, atol=1e-5)


def test_crop_reaches_every_shift_equally_often():
    shares = (torch.arange(900) + 0.5) / 450 - 1
    theta = identity(900).values.clone()
    theta[:, COLUMN["shift_x"]] = shares
    steps = affine_matrices(theta_with(theta), 32)[:, 0, 2]
    values, counts = steps.unique(return_counts=True)
    assert values.tolist() == list(range(-4, 5)) and set(counts.tolist()) == {100}


def test_saturation_leaves_greyscale_alone():
    images = random_images(2, 1, 6, 6)
    assert torch.allclose(augment(images, theta_of({"saturation": 0.2}, {"saturation": 1.9})), images, atol=1e-14)


def test_cutout_zeroes_at_most_half_the_side_squared():
    theta = theta_of(*({"cutout": 1.0, "hole_x": x, "hole_y": x} for x in (0.0, 0.5, 0.999)))
    cut = (augment(torch.ones(3, 2, 32, 32), theta) == 0).sum((1, 2, 3)).tolist()
    assert cut == [2 * 8 * 8, 2 * 16 * 16, 2 * 8 * 8]


def test_augmenting_reads_nothing_back_from_the_device():
    """A meta tensor has no values to read: any wait of the host for the device would fail here."""
    theta = THETAS["everything"].to("meta")
    images = torch.empty(4, 3, 8, 8, device="meta")
    assert augment(images, theta).shape == images.shape
    assert warp_matrices(theta, 8).shape == (4, 64, 64)


def coordinates(batch, size):
    """Images whose pixels tell which image they come from: (N, 1, size, size)."""
    return torch.arange(batch).view(-1, 1, 1, 1).expand(-1, 1, size, size).double()


def test_cutmix_mixes_targets_by_the_area_of_the_box():
    images, targets = coordinates(6, 16), torch.eye(6, dtype=torch.float64)
    for seed in range(40):
        mixed, mixed_targets = cutmix(images, targets, 1.0, generator(seed))
        counted = torch.stack([(mixed == source).double().mean((1, 2, 3)) for source in range(6)], 1)
        assert torch.allclose(mixed_targets, counted, atol=1e-12)
        foreign = (mixed != images).any(0)[0]
        if foreign.any():
            box = foreign.nonzero()
            height, width = (box.amax(0) - box.amin(0) + 1).tolist()
            assert height * width == foreign.sum(), "one box for the whole batch"
    assert torch.equal(images, coordinates(6, 16)), "the given batch is untouched"


def test_cutmix_boxes_have_the_expected_area():
    """In closed form: as 1-λ is uniform, the side is s with probability ((s+1)² - s²) / H²; centres are uniform."""
    size, repeats, source = 8, 3000, generator(5)
    expected = 0.0
    for side in range(size):
        lengths = [min(c - side // 2 + side, size) - max(c - side // 2, 0) for c in range(size)]
        expected += ((side + 1) ** 2 - side**2) / size**2 * (sum(lengths) / size**2) ** 2
    images, targets = coordinates(2, size), torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    areas = [abs(float(cutmix(images, targets, 1.0, source)[1][0])) for _ in range(repeats)]
    assert abs(sum(areas) / repeats - expected / 2) < 0.02, "half of the permutations of two move anything"


def test_cutmix_leaves_the_batch_alone_with_probability_1_minus_p():
    images, targets = coordinates(4, 8), torch.eye(4, dtype=torch.float64)
    untouched = [cutmix(images, targets, 0.25, generator(seed))[0] is images for seed in range(400)]
    assert 260 < sum(untouched) < 340
    assert cutmix(images, targets, 0.0, generator())[0] is images


def test_cutmix_passes_gradients_to_both_partners():
    pixels = random_images(3, 1, 4, 4).requires_grad_()
    mixed, _ = cutmix(pixels, torch.eye(3), 1.0, generator(4))
    (gradient,) = torch.autograd.grad(mixed.sum(), pixels)
    assert gradient.sum() == mixed.numel() and not torch.equal(mixed, pixels)
    assert gradcheck(lambda x: cutmix(x, torch.eye(3), 1.0, generator(4))[0], pixels)
