from __future__ import annotations

import pytest
import torch

from csdm_cli.data import sources
from csdm_cli.data.sources.reading import Reading
from csdm_cli.images.normalisation import KNOWN, normalise, statistics_for, statistics_of


@pytest.mark.parametrize("channels", [1, 3])
def test_statistics_are_those_of_all_pixels(channels):
    images = torch.randint(0, 256, (7, channels, 5, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels = images.double() / 255
    found = statistics_of(images)
    assert torch.allclose(torch.tensor(found.mean).double(), pixels.mean((0, 2, 3)), atol=1e-7)
    assert torch.allclose(torch.tensor(found.std).double(), pixels.std((0, 2, 3), correction=0), atol=1e-7)


def test_normalised_images_have_mean_zero_and_deviation_one():
    images = torch.randint(0, 200, (9, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    found = statistics_of(images)
    result = normalise(images, found.mean, found.std)
    assert torch.allclose(result.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(result.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5)


def test_a_flat_channel_can_be_normalised():
    images = torch.full((2, 1, 4, 4), 51, dtype=torch.uint8)
    found = statistics_of(images)
    assert normalise(images, found.mean, found.std).abs().max() < 1e-6


def test_known_statistics_are_used_where_their_channels_fit():
    colour = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    assert statistics_for("cifar10", colour) == KNOWN["cifar10"]
    assert statistics_for("cifar10", colour[:, :1]) == statistics_of(colour[:, :1])
    assert statistics_for("digits", colour) == statistics_of(colour)


def test_the_known_statistics_of_cifar10_are_those_of_its_images(real_data, tmp_path):
    """The files at hand are JPEG-coded, which costs some contrast: hence the tolerance on the deviation."""
    raw = sources.load("cifar10", real_data / "cifar10", Reading(), tmp_path)
    found = statistics_of(raw.train.read(range(0, 50000, 5)))
    assert torch.allclose(torch.tensor(found.mean), torch.tensor(KNOWN["cifar10"].mean), atol=2e-3)
    assert torch.allclose(torch.tensor(found.std), torch.tensor(KNOWN["cifar10"].std), atol=4e-3)
