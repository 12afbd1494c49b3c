"""Picks are stored as they are, or tiled; short classes are repeated, shifted."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.images.multi_formation import decode, encode_mix
from csdm_cli.methods.selection.base import repeated, selected
from csdm_cli.seeds import generator
from tests.methods.selection.worlds import building, positions


def last_first(start):
    return lambda label, count: torch.arange(start.data.counts[label] - 1, -1, -1)[:count]


def test_picked_images_are_stored_as_they_are_in_the_rules_order():
    start = building(ipc=3, factor=2)
    built = selected(start, False, last_first(start))
    assert built.factor == 1 and built.images.shape == (9, 3, 8, 8)
    assert positions(start, built.images[:3], 0) == [8, 7, 6]
    assert positions(start, built.images[6:], 2) == [2, 1, 0]


def test_tiled_images_decode_to_the_picked_ones_in_their_order():
    start = building(ipc=2, factor=2)
    built = selected(start, True, last_first(start))
    assert built.factor == 2 and built.images.shape == (6, 3, 8, 8)
    picked = start.data.of_class(0).flip(0)[:8].float() / 255
    assert torch.equal(decode(built.images[:2], 2, 8), decode(encode_mix(picked, 2, 8), 2, 8))


@pytest.mark.parametrize("wanted", [2, 3, 4, 8])
def test_a_short_class_is_repeated_in_order_and_only_repeats_are_shifted(wanted):
    images = torch.randint(0, 256, (3, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    found = repeated(images, wanted, generator(0, "test"))
    assert len(found) == wanted and torch.equal(found[:3], images[:wanted])
    assert torch.equal(found, repeated(images, wanted, generator(0, "test")))
    for place in range(3, wanted):
        original, centre = images[place % 3], found[place][:, 4:12, 4:12]
        shifts = [original[:, 4 + y : 12 + y, 4 + x : 12 + x] for y in range(-2, 3) for x in range(-2, 3)]
        assert any(torch.equal(centre, shift) for shift in shifts)
    assert len({bytes(image.flatten().tolist()) for image in found}) == wanted
