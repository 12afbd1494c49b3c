"""RDED's tiles hold the crops that the teachers find likeliest, and every class has enough of them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from csdm_cli.errors import UsageError
from csdm_cli.images.multi_formation import decode, encode_mix
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.selection.rded import Rded, RdedParameters, framed
from csdm_cli.methods.selection.rules.crops import cut, draw_boxes
from csdm_cli.names import StoredLabels
from csdm_cli.seeds import generator
from tests.methods.selection.worlds import building
from tests.reference.rded import kept


def patch(start, **options):
    return Rded(RdedParameters(**options)).build(start)


def expected_patches(start, label, crops, smallest=0.08, padded=False):
    """By loops over images and crops; the drawn boxes are taken over, what is done with them is not."""
    size, side, wanted = start.data.size, start.data.size // start.factor, start.ipc * start.factor**2
    rng, images = generator(start.seed, "patches", label), start.data.of_class(label)
    images = images[torch.randperm(len(images), generator=rng)]
    boxes = [draw_boxes(len(images), size, smallest, rng) for _ in range(crops)]
    patches, losses = {}, []
    for n in range(len(images)):
        losses.append([])
        for m in range(crops):
            patches[n, m] = cut(images[n : n + 1], boxes[m][n : n + 1], side)
            seen = framed(patches[n, m], size, start.data.mean) if padded else decode(patches[n, m], 1, size)
            logits = [start.pool.network(t)(normalise(seen, start.data.mean, start.data.std)) for t in range(2)]
            losses[n].append(sum(float(F.cross_entropy(each, torch.tensor([label]))) for each in logits))
    return torch.cat([patches[pair] for pair in kept(losses, wanted)])


@pytest.mark.parametrize(("ipc", "factor", "padded"), [(2, 1, False), (1, 2, False), (1, 2, True), (2, 2, False)])
def test_tiles_are_the_most_realistic_crops(ipc, factor, padded):
    start = building(ipc=ipc, factor=factor)
    built = patch(start, crops=3, seen="padded" if padded else "enlarged")
    assert built.factor == factor and built.images.shape == (3 * ipc, 3, 8, 8)
    for label in range(3):
        crops = max(3, -(-ipc * factor**2 // start.data.counts[label]))
        expected = encode_mix(expected_patches(start, label, crops, padded=padded), factor, 8)
        torch.testing.assert_close(built.images[ipc * label : ipc * (label + 1)], expected, atol=1e-6, rtol=0)


def test_a_class_of_three_images_gives_different_crops_of_them_beyond():
    """20 patches of 3 images with 2 crops each asked for: 7 crops each are drawn."""
    built = patch(building(ipc=5, factor=2, size=32), crops=2)
    tiles = built.images[10:].unfold(2, 16, 16).unfold(3, 16, 16).permute(0, 2, 3, 1, 4, 5).reshape(20, -1)
    assert len({bytes(tile.mul(255).byte().tolist()) for tile in tiles}) == 20


def test_at_most_mipc_images_are_cut_but_enough_for_every_patch():
    start = building(ipc=2)
    start.data.images[:9] = torch.arange(0, 90, 10, dtype=torch.uint8).view(9, 1, 1, 1)
    for mipc, sources in ((2, 2), (1, 2), (300, 2)):
        levels = patch(start, mipc=mipc).images[:2].mul(255).mean((1, 2, 3)).round()
        assert len(set(levels.tolist())) == sources
    few, all_nine = (patch(start, mipc=n).images[:2] for n in (2, 300))
    assert not torch.equal(few, all_nine)


def test_the_seed_decides_and_every_option_has_a_say():
    plain = patch(building(factor=2)).images
    assert torch.equal(plain, patch(building(factor=2)).images)
    assert not torch.equal(plain, patch(building(factor=2, seed=1)).images)
    for option in ({"crops": 1}, {"smallest": 0.9}, {"seen": "padded"}, {"observers": 1}):
        assert not torch.equal(plain, patch(building(factor=2), **option).images), option
    assert Rded.default_labels is StoredLabels.soft


def test_a_frame_around_whole_images_is_refused():
    with pytest.raises(UsageError, match="seen=padded has no effect at --factor 1"):
        patch(building(factor=1), seen="padded")


def test_a_frame_is_of_the_mean_colour_which_normalises_to_zero():
    patches = torch.rand(2, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    whole = framed(patches, 8, (0.5, 0.4, 0.3))
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[2:5, 2:5] = True
    assert torch.allclose(whole[:, :, inside].view_as(patches), patches)
    assert normalise(whole, (0.5, 0.4, 0.3), (0.2,) * 3)[:, :, ~inside].abs().max() < 1e-6
