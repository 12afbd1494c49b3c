from __future__ import annotations

import pytest
import torch
from torch import Tensor

from csdm_cli.errors import CsdmError
from csdm_cli.images.initial import to_uint8
from csdm_cli.images.multi_formation import decode, encode_mix
from csdm_cli.parameterisations.multi_formation import MultiFormation
from csdm_cli.parameterisations.pixels import Pixels
from tests.parameterisations.conftest import SHAPE


def test_pixels_are_the_images(images: Tensor) -> None:
    some = Pixels(SHAPE, per_class=4)
    leaves = some.initial(images)
    assert list(leaves) == ["images"] and torch.equal(some.decode(leaves), images)
    leaves["images"][0, 0, 0] = torch.tensor([-0.2, 1.7, 0.5, 0.1, 0, 1, 2, -3], dtype=torch.float64)
    some.project(leaves)
    expected = torch.tensor([0, 1, 0.5, 0.1, 0, 1, 1, 0], dtype=torch.float64)
    assert torch.equal(leaves["images"][0, 0, 0], expected) and torch.equal(leaves["images"][1:], images[1:])


def test_multi_formation_is_what_sets_are_made_of_today(images: Tensor) -> None:
    some = MultiFormation(SHAPE, ipc=1, factor=2)
    leaves = some.initial(images)
    assert torch.equal(leaves["images"], encode_mix(images, 2, 8))
    assert torch.equal(some.decode(leaves, 1, 3), decode(leaves["images"][1:3], 2, 8))
    stored = some.stored(leaves)
    assert torch.equal(stored["images"], to_uint8(leaves["images"]))
    assert torch.equal(some.opened(stored), decode(stored["images"].float() / 255, 2, 8))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("some", [Pixels(SHAPE, per_class=4), MultiFormation(SHAPE, ipc=1, factor=2)])
def test_a_pixel_that_is_not_finite_is_not_stored(images: Tensor, some: Pixels | MultiFormation, value: float) -> None:
    leaves = some.initial(images)
    leaves["images"][-1, -1, -1, -1] = value
    with pytest.raises(CsdmError, match="pixels that are not finite numbers: the run diverged; lower its --lr"):
        some.stored(leaves)


def test_multi_formation_of_factor_1_is_pixels(images: Tensor) -> None:
    some, plain = MultiFormation(SHAPE, ipc=4, factor=1), Pixels(SHAPE, per_class=4)
    assert some.per_class == 4 and some.bytes() == plain.bytes()
    assert torch.equal(some.decode(some.initial(images)), images)
