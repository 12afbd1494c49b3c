"""An image set: classes lie one after another, and equal data have equal fingerprints wherever they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from csdm_cli.images.image_set import ImageSet

IMAGES = torch.arange(5 * 3 * 2 * 2, dtype=torch.uint8).view(5, 3, 2, 2)
SET = ImageSet(IMAGES, (3, 0, 2), ("a", "b", "c"), (0.5, 0.4, 0.3), (0.2, 0.2, 0.2))


def test_classes_are_runs_of_images():
    assert (SET.classes, SET.channels, SET.size, SET.offsets) == (3, 3, 2, (0, 3, 3, 5))
    assert SET.labels.tolist() == [0, 0, 0, 2, 2]
    for label in range(3):
        assert torch.equal(SET.of_class(label), IMAGES[SET.labels == label]), label
    assert SET.of_class(0).data_ptr() == IMAGES.data_ptr(), "no copy"


def test_the_fingerprint_is_of_pixels_and_class_sizes():
    assert replace(SET, class_names=("x", "y", "z"), mean=(0.0,) * 3).fingerprint() == SET.fingerprint()
    assert replace(SET, counts=(2, 1, 2)).fingerprint() != SET.fingerprint()
    other = IMAGES.clone()
    other[4, 0, 0, 0] += 1
    assert replace(SET, images=other).fingerprint() != SET.fingerprint()


@pytest.mark.parametrize(
    "change",
    [{"images": IMAGES.float()}, {"counts": (3, 0, 1)}, {"class_names": ("a", "b")}, {"mean": (0.5,)}],
    ids=lambda change: next(iter(change)),
)
def test_parts_that_do_not_fit_are_a_fault(change):
    with pytest.raises(AssertionError):
        replace(SET, **change)
