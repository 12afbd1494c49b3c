from __future__ import annotations

import pytest
import torch
from torch import Tensor

from csdm_cli.parameterisations.parameterisation import Shape
from csdm_cli.parameterisations.pyramid import Pyramid
from tests.parameterisations.conftest import SHAPE, smooth_images


@pytest.mark.parametrize(
    ("size", "sides"), [(1, (1,)), (8, (1, 2, 4, 8)), (28, (1, 2, 4, 8, 16, 28)), (32, (1, 2, 4, 8, 16, 32))]
)
def test_sides_double_up_to_the_size(size: int, sides: tuple[int, ...]) -> None:
    assert Pyramid(Shape(2, 3, size), 1).sides == sides


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 12])
def test_starts_from_the_images_themselves(channels: int, size: int) -> None:
    shape = Shape(2, channels, size)
    some, images = Pyramid(shape, 2), smooth_images(4, shape=shape)
    torch.testing.assert_close(some.decode(some.initial(images)), images, rtol=0, atol=1e-12)


def test_black_and_white_survive_rounding() -> None:
    some = Pyramid(SHAPE, 1)
    images = torch.rand(3, 3, 8, 8).round()
    assert torch.equal(some.opened(some.stored(some.initial(images))), images)


def test_coarse_levels_hold_what_is_coarse() -> None:
    """Images of one grey each need the first level alone."""
    some = Pyramid(SHAPE, 1)
    grey = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64).view(3, 1, 1, 1).expand(3, 3, 8, 8)
    leaves = some.initial(grey)
    for name, level in leaves.items():
        assert bool(level.abs().max() < 1e-12) is (name != "level_1")
    torch.testing.assert_close(some.decode({"level_1": leaves["level_1"]}), grey, rtol=0, atol=1e-12)


def test_colours_are_the_known_root_times_the_levels() -> None:
    some = Pyramid(Shape(1, 3, 1), 1)
    decoded = some.decode({"level_1": torch.tensor([0.0, 0.5, 0.0]).view(1, 3, 1, 1)})
    longest = (0.26**2 + 0.27**2 + 0.27**2) ** 0.5
    expected = torch.tensor([0.09, 0.0, -0.09]) / longest
    torch.testing.assert_close(decoded.flatten(), expected.sigmoid())


def test_one_level_decodes_to_its_enlargement(images: Tensor) -> None:
    some = Pyramid(Shape(1, 1, 4), 1)
    level = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).view(1, 1, 2, 2)
    row = torch.tensor([0.0, 0.25, 0.75, 1.0])  # bilinear, pixels' corners apart
    expected = 2 * (row[None] + 2 * row[:, None])
    torch.testing.assert_close(some.decode({"level_2": level})[0, 0], expected.sigmoid())
