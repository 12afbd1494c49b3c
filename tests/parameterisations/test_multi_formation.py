"""Cells of stored images."""

from __future__ import annotations

import torch

from csdm_cli.parameterisations.multi_formation import MultiFormation
from csdm_cli.parameterisations.parameterisation import Shape

MADE = MultiFormation(Shape(2, 1, 4), 3, 2)


def test_numbers_by_hand():
    """2 classes of 3 stored images of 4·4 pixels, each decoded to 2² images."""
    assert MADE.per_class == 12 and MADE.numbers() == MADE.bytes() == 2 * 3 * 16


def test_a_flat_cell_is_a_flat_image():
    stored = torch.zeros(6, 1, 4, 4)
    stored[:, :, :2, 2:], stored[:, :, 2:, :2], stored[:, :, 2:, 2:] = 0.25, 0.5, 1.0
    decoded = MADE.decode({"images": stored})
    assert decoded.shape == (24, 1, 4, 4)
    for cell, level in enumerate((0.0, 0.25, 0.5, 1.0)):
        assert torch.equal(decoded[cell::4], torch.full((6, 1, 4, 4), level))


def test_a_class_is_its_own_rows():
    leaves = {"images": torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))}
    assert torch.equal(MADE.decode(leaves, 1, 2), MADE.decode(leaves)[12:])


def test_projection_clips_and_storing_rounds():
    leaves = {"images": torch.full((6, 1, 4, 4), 1.5)}
    MADE.project(leaves)
    assert torch.equal(leaves["images"], torch.ones(6, 1, 4, 4))
    stored = MADE.stored({"images": torch.full((6, 1, 4, 4), 0.4999)})
    assert stored["images"].dtype == torch.uint8 and set(stored["images"].flatten().tolist()) == {127}
