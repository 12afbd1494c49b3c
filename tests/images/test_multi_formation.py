from __future__ import annotations

import pytest
import torch

from csdm_cli.images.multi_formation import PADDING, cell_side, decode, encode_mix
from tests.reference.decode import decode_slowly


def random_images(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize(
    ("stored", "factor", "size"),
    [(8, 2, 8), (8, 1, 12), (9, 2, 8), (8, 3, 8), (8, 4, 5), (6, 2, 3), (8, 3, 3), (8, 2, 2), (5, 5, 4)],
)
def test_equals_the_slow_reference(stored, factor, size):
    images = random_images(2, 3, stored, stored)
    decoded = decode(images, factor, size)
    assert decoded.shape == (2 * factor**2, 3, size, size)
    torch.testing.assert_close(decoded, decode_slowly(images, factor, size), rtol=0, atol=1e-12)


def test_factor_one_at_full_size_is_the_same_tensor():
    images = random_images(2, 3, 8, 8)
    assert decode(images, 1, 8) is images
    assert encode_mix(images, 1, 8) is images


def test_cells_come_image_by_image_and_row_by_row():
    images = torch.arange(8.0).reshape(2, 1, 2, 2)
    assert decode(images, 2, 1).flatten().tolist() == list(range(8))


def test_a_constant_cell_decodes_to_a_constant_image():
    images = torch.arange(4.0).reshape(1, 1, 2, 2).repeat_interleave(3, 2).repeat_interleave(3, 3)
    decoded = decode(images, 2, 7)
    for value, image in enumerate(decoded):
        torch.testing.assert_close(image, torch.full((1, 7, 7), float(value)))


def test_padding_is_grey_at_the_right_and_bottom():
    decoded = decode(torch.ones(1, 1, 3, 3), 2, 2)
    assert cell_side(3, 2) == 2
    assert decoded[0].eq(1).all()
    assert decoded[1, 0].tolist() == [[1, PADDING], [1, PADDING]]
    assert decoded[2, 0].tolist() == [[1, 1], [PADDING, PADDING]]
    assert decoded[3, 0].tolist() == [[1, PADDING], [PADDING, PADDING]]


@pytest.mark.parametrize(("stored", "factor", "size"), [(4, 2, 5), (5, 2, 4), (3, 1, 5)])
def test_gradient_is_the_transpose_of_the_linear_map(stored, factor, size):
    shape = (2, 1, stored, stored)
    constant = decode(torch.zeros(shape, dtype=torch.float64), factor, size)
    basis = torch.eye(2 * stored**2, dtype=torch.float64)
    matrix = torch.stack([(decode(unit.reshape(shape), factor, size) - constant).flatten() for unit in basis], dim=1)
    images = random_images(*shape).requires_grad_()
    cotangent = random_images(*constant.shape) - 0.5
    decode(images, factor, size).backward(cotangent)
    torch.testing.assert_close(images.grad.flatten(), matrix.T @ cotangent.flatten(), rtol=0, atol=1e-12)


def test_gradcheck():
    images = random_images(1, 2, 5, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda pixels: decode(pixels, 2, 4), (images,))


def test_mix_puts_shrunk_images_into_the_cells_in_order():
    values = torch.arange(8.0).reshape(8, 1, 1, 1).expand(8, 1, 6, 6)
    mixed = encode_mix(values, 2, 6)
    assert mixed.shape == (2, 1, 6, 6)
    torch.testing.assert_close(decode(mixed, 2, 6), values.contiguous())


@pytest.mark.parametrize(("factor", "size"), [(2, 8), (3, 8), (4, 16)])
def test_mix_then_decode_keeps_a_linear_ramp_away_from_the_border(factor, size):
    ramp = torch.linspace(0, 1, size, dtype=torch.float64).expand(factor**2, 1, size, size).contiguous()
    decoded = decode(encode_mix(ramp, factor, size), factor, size)
    side = cell_side(size, factor)
    margin = 2 * size // side + 1
    inner = slice(margin, size - margin)
    torch.testing.assert_close(decoded[0, :, inner, inner], ramp[0, :, inner, inner], rtol=0, atol=1e-6)


@pytest.mark.parametrize("factor", [3, 4])
def test_every_pixel_of_an_image_counts_in_its_cell(factor):
    """Shrunk by 3 and by 4, four samples an output pixel would miss most of the 144."""
    single = torch.eye(144, dtype=torch.float64).view(144, 1, 12, 12)
    cells = encode_mix(single, factor, 12).unfold(2, 12 // factor, 12 // factor).unfold(3, 12 // factor, 12 // factor)
    traces = cells.sum((1, 4, 5)).flatten()  # image by image, the cells of each row by row
    assert len(traces) == 144 and traces.min() > 0.1 / factor**2


def test_mix_keeps_the_mean_of_each_image():
    images = random_images(4, 3, 8, 8)
    inner = encode_mix(images, 2, 8)
    cells = inner.reshape(1, 3, 2, 4, 2, 4).permute(0, 2, 4, 1, 3, 5).reshape(4, 3, 4, 4)
    # The triangle filter is renormalised at the border, so means agree only roughly there.
    torch.testing.assert_close(cells.mean((2, 3)), images.mean((2, 3)), rtol=0, atol=0.05)


def test_mix_with_a_factor_that_does_not_divide_the_size_is_cut_off():
    images = random_images(9, 1, 8, 8)
    mixed = encode_mix(images, 3, 8)
    whole = encode_mix(images, 3, 9)
    assert mixed.shape == (1, 1, 8, 8)
    torch.testing.assert_close(mixed, whole[:, :, :8, :8], rtol=0, atol=0)
