"""Views are torchvision's operations, one set of numbers per image, and functions of a generator alone."""

from __future__ import annotations

import pytest
import torch
import torchvision.transforms.v2.functional as tv

from csdm_cli.images.two_views import AREA, RATIO, Jitter, View, cropped, draw_view, seen, turned
from csdm_cli.names import ViewOperation

ALL = frozenset(ViewOperation)
JITTER = Jitter(0.4, 0.3, 0.2, 0.1)


def pictures(count: int = 4, channels: int = 3, size: int = 8) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(0))


def drawn(count: int, operations: frozenset[str] = ALL) -> View:
    return draw_view(torch.Generator().manual_seed(1), count, operations, JITTER)


def test_a_view_of_no_operation_is_the_image():
    images = pictures()
    torch.testing.assert_close(seen(images, drawn(4, frozenset())), images, rtol=0, atol=1e-6)


def test_a_box_is_cropped_and_resized_and_a_flip_mirrors_it():
    """Inside; at a crop's border torchvision does not look beyond it, and a view does."""
    images, box = pictures(2, size=16), torch.tensor([[0.25, 0.5, 0.5, 0.25]] * 2)
    wanted = tv.resize(images[:, :, 8:12, 4:12], [16, 16], antialias=False)
    found = cropped(images, box, torch.tensor([False, True]))
    torch.testing.assert_close(found[0, :, 2:-2, 1:-1], wanted[0, :, 2:-2, 1:-1], rtol=0, atol=1e-5)
    torch.testing.assert_close(found[1], cropped(images, box, torch.tensor([False] * 2))[1].flip(-1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("turns", [-0.1, 0.0, 0.05, 0.4])
def test_hue_is_torchvision_s(turns):
    images = pictures()
    images[0, :, :2] = 0.5  # grey has no hue
    images[1, :2] = images[1, :1]  # two channels share the largest value
    found = turned(images, torch.full((4, 1, 1), turns))
    torch.testing.assert_close(found, tv.adjust_hue(images, turns), rtol=0, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_s_colours_change_by_its_own_numbers_as_torchvision_s(channels):
    images = pictures(channels=channels)
    box, still = torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 4), torch.zeros(4, dtype=torch.bool)
    colour = torch.tensor([[1, 1, 1, 0], [1.4, 1, 1, 0], [0.7, 1.3, 0.6, 0.1], [1, 0.6, 1.4, -0.1]])
    grey = torch.tensor([True, False, False, False])
    for image, numbers, found, greyed in zip(
        images, colour, seen(images, View(box, still, colour, grey)), grey, strict=True
    ):
        brightness, contrast, saturation, hue = numbers.tolist()
        wanted = tv.adjust_contrast(tv.adjust_brightness(image, brightness), contrast)
        wanted = tv.adjust_hue(tv.adjust_saturation(wanted, saturation), hue)
        wanted = tv.rgb_to_grayscale(wanted, num_output_channels=channels) if greyed else wanted
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)


def test_numbers_lie_in_their_ranges_and_come_as_often_as_they_should():
    view = drawn(20_000)
    left, top, width, height = view.box.unbind(1)
    assert bool((left >= 0).all() and (top >= 0).all())
    assert float((left + width).max()) <= 1 + 1e-6 and float((top + height).max()) <= 1 + 1e-6
    whole = (width < 1) & (height < 1)  # others were cut at the border
    ratio, area = (width / height)[whole], (width * height)[whole]
    assert float(ratio.min()) >= RATIO[0] - 1e-4 and float(ratio.max()) <= RATIO[1] + 1e-4
    assert float(area.min()) >= AREA[0] - 1e-4
    reach = torch.tensor([0.4, 0.3, 0.2, 0.1])
    away = (view.colour - torch.tensor([1.0, 1.0, 1.0, 0.0])).abs()
    assert bool((away <= reach + 1e-6).all()) and bool((away.max(0).values > 0.99 * reach).all())
    changed = (away[:, 0] > 0).double().mean()
    for share, chance in ((view.flip, 0.5), (view.grey, 0.2), (changed, 0.8)):
        assert abs(float(share.double().mean()) - chance) < 5 * (chance * (1 - chance) / 20_000) ** 0.5


def test_operations_that_are_left_out_change_no_other():
    every, some = drawn(50), drawn(50, frozenset({"crop"}))
    assert torch.equal(every.box, some.box) and not some.flip.any() and not some.grey.any()
    assert torch.equal(some.colour, torch.tensor([[1.0, 1.0, 1.0, 0.0]]).expand(50, 4))
