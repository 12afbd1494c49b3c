"""The map from uint8 or unit-range pixels to what a network expects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from csdm_cli.device import constant
from csdm_cli.names import Source


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation per channel, of pixels in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


_IMAGENET = Statistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

KNOWN: dict[str, Statistics] = {
    # Over all training pixels. Much of the field uses a std of (.2023, .1994, .2010) for CIFAR-10, which is the
    # mean over images of each image's own deviation, and applies CIFAR-10's constants to CIFAR-100 as well.
    Source.cifar10: Statistics((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    Source.cifar100: Statistics((0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)),
    Source.svhn: Statistics((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
    Source.tinyimagenet: Statistics((0.4802, 0.4481, 0.3975), (0.2770, 0.2691, 0.2821)),
    Source.imagenette: _IMAGENET,
    Source.imagewoof: _IMAGENET,
    Source.imagemeow: _IMAGENET,
    Source.imagesquawk: _IMAGENET,
    Source.imagefruit: _IMAGENET,
    Source.imageyellow: _IMAGENET,
}
"""Statistics of the sources whose constants are conventional; the others' are computed from their training set."""


def statistics_of(images: Tensor) -> Statistics:
    """Mean and standard deviation per channel over all pixels of uint8 ``images`` (N, C, H, W).

    Exact up to float64 rounding, from a histogram per channel, whatever the number of images. A channel without
    contrast gets a standard deviation of 1, so that normalising stays possible.
    """
    assert images.dtype == torch.uint8 and images.numel()
    values = torch.arange(256, dtype=torch.float64) / 255
    part_length = max(1, 2**22 // images[0, 0].numel())  # bounds the memory of the int64 copies
    means, stds = [], []
    for channel in range(images.shape[1]):
        histogram = torch.zeros(256, dtype=torch.float64)
        for part in torch.split(images[:, channel], part_length):
            histogram += torch.bincount(part.flatten().to("cpu", torch.int64), minlength=256)
        weights = histogram / histogram.sum()
        mean = (weights * values).sum()
        variance = (weights * (values - mean).square()).sum()
        means.append(mean.item())
        stds.append(variance.sqrt().item() if variance > 0 else 1.0)
    return Statistics(tuple(means), tuple(stds))


def statistics_for(dataset: str, train: Tensor) -> Statistics:
    """The known statistics of ``dataset`` where their channels fit, else those of the training images."""
    known = KNOWN.get(dataset)
    return known if known and len(known.mean) == train.shape[1] else statistics_of(train)


def in_unit_range(images: Tensor) -> Tensor:
    """Images as floats in [0, 1]: uint8 ones as float32, floats as they are."""
    return images.to(torch.float32) / 255 if images.dtype == torch.uint8 else images


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """``(x - mean) / std`` per channel, for uint8 images or floats in [0, 1] of shape (N, C, H, W).

    Differentiable in float images; the result is float32 unless ``images`` are of another float type.
    """
    images = in_unit_range(images)
    shape = (1, -1, 1, 1)
    centre, spread = (constant(tuple(values), images.dtype, images.device).view(shape) for values in (mean, std))
    return (images - centre) / spread
