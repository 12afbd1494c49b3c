"""scikit-learn's handwritten digits (Alpaydin and Kaynak 1998): real images that come inside a package."""

from __future__ import annotations

import numpy as np
import torch

from csdm_cli.data.sources.pixels import array_reader
from csdm_cli.data.sources.raw import RawDataset, RawSplit
from csdm_cli.storage.tensorfile import tensor_sha256

BRIGHTEST = 16  # the package's grey values are 0..16


def load(size: int, channels: int = 1) -> RawDataset:
    """1,797 greyscale images of 8x8, resized to ``size``; in colour (3 ``channels``) as grey as before.

    They have no official split. Ours is fixed and stratified: within each class, in the package's order, every
    third image (the 3rd, 6th, ...) is a test image; 58 to 61 per class, 596 in all.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.round(bunch.images * (255 / BRIGHTEST)).astype(np.uint8)  # (1797, 8, 8)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    in_test = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(10):
        in_test[torch.nonzero(labels == label).flatten()[2::3]] = True

    def split(chosen: torch.Tensor) -> RawSplit:
        return RawSplit(labels[chosen], array_reader(pixels[chosen.numpy()], channels=channels, size=size))

    return RawDataset(
        train=split(~in_test),
        test=split(in_test),
        class_names=tuple(str(digit) for digit in range(10)),
        channels=channels,
        size=size,
        jpeg=False,
        origin="scikit-learn",
        fingerprint=tensor_sha256(torch.from_numpy(pixels)),
    )
