"""Starting images are real ones, drawn without replacement while the class lasts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from csdm_cli.errors import CsdmError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.initial import initial_images, pick_images, shifted, to_uint8
from csdm_cli.images.multi_formation import decode
from csdm_cli.names import Initial
from csdm_cli.seeds import generator


@pytest.fixture
def flat() -> ImageSet:
    """Images of one grey level each, so that every image can be told from its pixels."""
    levels = torch.arange(0, 180, 10, dtype=torch.uint8)
    images = levels.view(-1, 1, 1, 1).expand(18, 3, 8, 8).contiguous()
    return ImageSet(images, (9, 6, 3), ("a", "b", "c"), (0.5,) * 3, (0.2,) * 3)


def levels_of(images):
    return (images.mean((1, 2, 3)) * 255).round().int().tolist()


def test_real_images_come_from_their_own_class_without_replacement(flat):
    images = initial_images(flat, 3, 1, Initial.real, seed=0)
    assert images.shape == (9, 3, 8, 8)
    of_class = [levels_of(images[3 * c : 3 * c + 3]) for c in range(3)]
    assert all(len(set(levels)) == 3 for levels in of_class)
    assert set(of_class[0]) <= set(range(0, 90, 10))
    assert set(of_class[2]) == {150, 160, 170}


def test_mix_holds_factor_squared_images_in_the_order_they_decode_to(flat):
    images = initial_images(flat, 2, 2, Initial.mix, seed=0)
    assert images.shape == (6, 3, 8, 8)
    levels = levels_of(decode(images[:2], 2, 8))
    assert len(set(levels)) == 8 and set(levels) <= set(range(0, 90, 10))


def test_a_short_class_is_used_in_rounds_and_repeats_are_shifted():
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3, 1, 16, 16), generator=rng, dtype=torch.uint8)
    picked = pick_images(images, 8, generator(0, "test"))
    assert len(picked) == 8
    first = {bytes(image.flatten().tolist()) for image in picked[:3]}
    assert first == {bytes(image.flatten().tolist()) for image in images}
    centre = (slice(None), slice(4, 12), slice(4, 12))
    for image in picked[3:]:
        shifted_from = [
            any(
                torch.equal(image[centre], original[:, 4 + dy : 12 + dy, 4 + dx : 12 + dx])
                for dy in range(-2, 3)
                for dx in range(-2, 3)
            )
            for original in images
        ]
        assert sum(shifted_from) == 1


def test_every_image_is_shifted_by_itself_and_its_edges_repeated():
    """By up to two pixels of 16: a pixel from outside is the nearest one inside."""
    image = torch.randint(0, 256, (1, 16, 16), generator=generator(0, "image"), dtype=torch.uint8)
    found = shifted(image.expand(200, 1, 16, 16), generator(0, "shifts"))
    places = torch.arange(16)
    moved = {
        (y, x): image[:, (places + y).clamp(0, 15)][:, :, (places + x).clamp(0, 15)]
        for y in range(-2, 3)
        for x in range(-2, 3)
    }
    drawn = [[shift for shift, expected in moved.items() if torch.equal(one, expected)] for one in found]
    assert all(len(shifts) == 1 for shifts in drawn)
    assert {shifts[0] for shifts in drawn} == moved.keys(), "all 25 occur among 200"


@pytest.mark.parametrize("kind", list(Initial))
def test_seeds_decide(flat, kind):
    one = initial_images(flat, 2, 1, kind, seed=0)
    assert torch.equal(one, initial_images(flat, 2, 1, kind, seed=0))
    assert not torch.equal(one, initial_images(flat, 2, 1, kind, seed=1))
    assert one.min() >= 0 and one.max() <= 1


def test_noise_has_the_mean_and_deviation_of_the_data(flat):
    many = replace(flat, mean=(0.5, 0.4, 0.6), std=(0.1, 0.1, 0.05))
    noise = initial_images(many, 50, 1, Initial.noise, seed=0)
    torch.testing.assert_close(noise.mean((0, 2, 3)), torch.tensor(many.mean), atol=0.005, rtol=0)
    torch.testing.assert_close(noise.std((0, 2, 3)), torch.tensor(many.std), atol=0.005, rtol=0)


@pytest.mark.parametrize(("kind", "ipc", "factor"), [(Initial.real, 4, 1), (Initial.mix, 1, 2)])
def test_classes_are_drawn_from_independently(flat, kind, ipc, factor):
    """Equal classes, whose images are known by their position, give other positions."""
    twice = replace(flat, images=flat.images[:9].repeat(2, 1, 1, 1), counts=(9, 9), class_names=("a", "b"))
    images = decode(initial_images(twice, ipc, factor, kind, seed=0), factor, 8)
    first, second = levels_of(images[:4]), levels_of(images[4:])
    assert first != second and {*first, *second} <= set(range(0, 90, 10))


def test_pixels_are_stored_as_the_nearest_of_256_levels():
    levels = torch.arange(256) / 255
    for by in (-0.49, 0.0, 0.49):
        assert torch.equal(to_uint8(levels + by / 255), torch.arange(256, dtype=torch.uint8))
    assert to_uint8(torch.tensor([-3.0, 1.5])).tolist() == [0, 255]
    with pytest.raises(CsdmError, match="not finite numbers"):
        to_uint8(torch.tensor([0.5, torch.nan]))
