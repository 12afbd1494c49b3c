"""Pixels of other tools: types, shapes and ranges that are refused, named with their file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.foreign.scales import Scale, channels_first, likeness_of_neighbours, pixels_of
from tests.artifacts.sets import dataset_info

PATH, DATASET = Path("set.pt"), dataset_info()
PIXELS = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_channels_may_come_first_last_or_not_at_all():
    assert torch.equal(channels_first(PIXELS.permute(0, 2, 3, 1), PATH, 3), PIXELS)
    assert channels_first(PIXELS[:, 0], PATH, 1).shape == (4, 1, 8, 8)
    for wrong in (PIXELS[:, :2], PIXELS[..., :7], PIXELS[:0], PIXELS[0]):
        with pytest.raises(CsdmError, match=r"set\.pt holds images of shape"):
            channels_first(wrong, PATH, 3)


def test_whole_numbers_are_pixels_as_they_are():
    for dtype in (torch.uint8, torch.int64):
        found, notes = pixels_of((255 * PIXELS).to(dtype), PATH, DATASET, Scale())
        assert found.dtype == torch.uint8 and torch.equal(found, (255 * PIXELS).to(torch.uint8)) and notes == ()
    with pytest.raises(CsdmError, match="from 0 to 256"):
        pixels_of(torch.tensor([0, 256]).repeat(96).view(1, 3, 8, 8), PATH, DATASET, Scale())
    for scale, option in ((Scale(normalised=True), "--normalised"), (Scale(unwhiten=lambda pixels: pixels), "--zca")):
        with pytest.raises(UsageError, match=option):
            pixels_of((255 * PIXELS).to(torch.uint8), PATH, DATASET, scale)


def test_a_named_scale_is_believed():
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (DATASET.mean, DATASET.std))
    found, _ = pixels_of((PIXELS - mean) / std, PATH, DATASET, Scale(normalised=True))
    torch.testing.assert_close(found, PIXELS)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e4])
def test_numbers_that_are_no_pixels(value):
    wrong = PIXELS.clone()
    wrong[0, 0, 0, 0] = value
    with pytest.raises(CsdmError, match=r"set\.pt holds"):
        pixels_of(wrong, PATH, DATASET, Scale())


def test_likeness_is_the_correlation_of_neighbours():
    assert likeness_of_neighbours(torch.ones(2, 1, 4, 4)) == 1
    stripes = torch.tensor([0.0, 1.0]).repeat(8).expand(2, 1, 16, 16)
    assert likeness_of_neighbours(stripes) == pytest.approx(-1)
    ramp = torch.arange(16.0).expand(2, 1, 16, 16)
    assert likeness_of_neighbours(ramp) == pytest.approx(1 - 0.5 / ((16**2 - 1) / 12))
