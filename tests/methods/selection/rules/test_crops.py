"""Crops lie inside their images, keep their brightness, and the best ones are kept."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from csdm_cli.methods.selection.rules.crops import best_crops, cut, draw_boxes
from csdm_cli.seeds import generator
from tests.reference.rded import kept


@given(
    st.integers(1, 6).flatmap(
        lambda crops: st.lists(st.lists(st.integers(0, 4), min_size=crops, max_size=crops), min_size=1, max_size=6)
    ),
    st.data(),
)
@settings(max_examples=60)
def test_the_kept_crops_are_those_of_a_plain_search(losses, data):
    wanted = data.draw(st.integers(1, len(losses) * len(losses[0])))
    found = [tuple(pair) for pair in best_crops(torch.tensor(losses, dtype=torch.float64), wanted).tolist()]
    assert found == kept(losses, wanted)
    assert len(set(found)) == wanted


@pytest.mark.parametrize("size", [8, 32])
@pytest.mark.parametrize("smallest", [0.08, 0.5, 1.0])
def test_boxes_are_inside_and_as_large_as_asked(size, smallest):
    top, left, side = draw_boxes(4000, size, smallest, generator(0, "test")).T
    assert min(int(top.min()), int(left.min())) >= 0 and int((torch.maximum(top, left) + side).max()) <= size
    assert side.min() >= size * smallest**0.5 - 0.5
    share = (side.double() / size).square()
    assert abs(float(share.mean()) - (1 + smallest) / 2) < 0.02
    if smallest < 1:
        assert side.max() == size and top.min() == left.min() == 0
        assert top[side < size].max() == left[side < size].max() == size - side.min()  # every edge is reached
    else:
        assert set(side.tolist()) == {size} and not top.any() and not left.any()


def test_a_crop_of_its_own_size_is_the_pixels_themselves_and_a_smaller_one_their_mean():
    images = torch.randint(0, 256, (3, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    boxes = torch.tensor([[1, 2, 4], [0, 4, 4], [4, 0, 4]])
    crops = cut(images, boxes, 4)
    for image, crop, (y, x, side) in zip(images, crops, boxes.tolist(), strict=True):
        assert torch.equal(crop, image[:, y : y + side, x : x + side].float() / 255)
    flat = torch.full((2, 1, 8, 8), 100, dtype=torch.uint8)
    flat[:, :, ::2, ::2] = 140  # one in four: shrinking that picks pixels would see 100 or 140 only
    shrunk = cut(flat, torch.tensor([[0, 0, 8], [0, 0, 8]]), 2)
    assert (shrunk * 255 - 110).abs().max() < 4


def test_boxes_of_several_sizes_stay_with_their_images():
    images = torch.arange(5, dtype=torch.uint8).mul(50).view(5, 1, 1, 1).expand(5, 1, 8, 8)
    boxes = torch.tensor([[0, 0, 8], [1, 1, 4], [0, 0, 8], [2, 2, 3], [1, 0, 4]])
    crops = cut(images, boxes, 6)
    torch.testing.assert_close(crops.amax((1, 2, 3)) * 255, torch.arange(5.0) * 50, atol=1e-3, rtol=0)
    torch.testing.assert_close(crops.amin((1, 2, 3)) * 255, torch.arange(5.0) * 50, atol=1e-3, rtol=0)
