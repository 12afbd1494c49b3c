"""Pixels of other tools brought to the scale where black is 0 and white is 1.

Files do not say on which scale their pixels are. Four scales are told by the range of values: [0, 1], [0, 255],
[-1, 1], and (x - mean) / std, whose deviation is near 1. Whitened pixels lie around 0 too, with a deviation near 0.3
and neighbours less alike; only the training set can turn them back, so that they are refused unless that is
asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from csdm_cli.artifacts.distilled import DatasetInfo
from csdm_cli.errors import CsdmError, UsageError

SLACK = 0.25  # beyond black and white, which optimised pixels may reach
LEAST_NORMALISED = 0.7  # deviation of normalised pixels, which is 1 over a whole dataset; whitened ones have 0.3
LEAST_SIGNED = 0.3  # deviation of pixels in [-1, 1]
LEAST_SMOOTH = 0.8  # likeness of neighbours: 0.94 in CIFAR-10, 0.64 after its whitening


@dataclass(frozen=True)
class Scale:
    """How pixels are stored.

    Attributes:
        normalised: after ``(x - mean) / std``.
        unwhiten: undoes ZCA whitening of (N, C, h, h); None: they are not whitened.
    """

    normalised: bool = False
    unwhiten: Callable[[Tensor], Tensor] | None = None


def pixels_of(found: Tensor, path: Path, dataset: DatasetInfo, scale: Scale) -> tuple[Tensor, tuple[str, ...]]:
    """Images (N, C, h, h), uint8 or float32 with black 0 and white 1, and what was done to them, in words.

    Raises:
        UsageError: if their scale cannot be told, or is not the one that was named.
        CsdmError: if their shape or type is none of images of ``dataset``, or a pixel is not finite.
    """
    pixels = channels_first(found, path, len(dataset.mean))
    if pixels.dtype == torch.uint8:
        if scale.normalised or scale.unwhiten:
            option = "--normalised" if scale.normalised else "--zca"
            raise UsageError(f"{path} holds uint8 pixels, which are pixels as they are: leave out {option}")
        return pixels, ()
    if not pixels.is_floating_point():
        low, high = (int(value) for value in pixels.aminmax())
        if low < 0 or high > 255:
            raise CsdmError(f"{path} holds {pixels.dtype} pixels from {low} to {high} (expected 0 to 255, or floats)")
        return pixels.to(torch.uint8), ()
    pixels = pixels.float()
    if not pixels.isfinite().all():
        raise CsdmError(f"{path} holds pixels that are not finite numbers")
    if scale.unwhiten is not None:
        return scale.unwhiten(pixels), ("ZCA whitening was undone with the training set's statistics",)
    if scale.normalised:
        return _denormalised(pixels, dataset), ()
    return _recognised(pixels, path, dataset)


def _recognised(pixels: Tensor, path: Path, dataset: DatasetInfo) -> tuple[Tensor, tuple[str, ...]]:
    """Pixels whose scale is told by their range of values."""
    low, high = (float(value) for value in pixels.aminmax())
    deviation, middle = float(pixels.std(correction=0)), float(pixels.mean())
    smooth = likeness_of_neighbours(pixels) >= LEAST_SMOOTH
    found = f"pixels from {low:.3g} to {high:.3g}"
    if low >= 0 and high <= 1:
        return pixels, ()
    if low >= 0 and 2 < high <= 255:
        return pixels / 255, (f"{found} were divided by 255",)
    if low >= -SLACK and high <= 1 + SLACK and (middle >= SLACK / 2 or smooth):
        return pixels, (f"{found} were kept: 0 is black, 1 white",)
    if low >= -1 and high <= 1 and (deviation >= LEAST_SIGNED or smooth):
        return (pixels + 1) / 2, (f"{found} were taken as [-1, 1]",)
    if low < 0 < high and (deviation >= LEAST_NORMALISED or smooth):
        back = _denormalised(pixels, dataset)
        if back.min() >= -2 and back.max() <= 3:
            return back, (f"{found} were taken as normalised by the dataset's mean and deviation",)
    if low < 0 and abs(middle) < 0.2 and deviation < LEAST_NORMALISED:
        raise UsageError(
            f"{path} holds {found} with a deviation of {deviation:.2g}, as ZCA-whitened ones have: add --zca to undo"
            " that with the training set (--normalised, if mean and std were applied instead)"
        )
    raise UsageError(
        f"{path} holds {found} (expected 0 to 1, 0 to 255 or -1 to 1): if mean and std were applied, add --normalised;"
        " if they are ZCA-whitened, add --zca"
    )


def likeness_of_neighbours(pixels: Tensor) -> float:
    """Correlation of horizontal neighbours over (N, C, h, w) images, 1 for even ones."""
    if pixels.shape[-1] < 2:
        return 1.0
    half_variogram = float(pixels.diff(dim=-1).square().mean()) / 2
    return 1 - half_variogram / max(float(pixels.var(correction=0)), 1e-12)


def _denormalised(pixels: Tensor, dataset: DatasetInfo) -> Tensor:
    mean, std = (torch.tensor(value).view(1, -1, 1, 1) for value in (dataset.mean, dataset.std))
    return pixels * std + mean


def channels_first(found: Tensor, path: Path, channels: int) -> Tensor:
    """(N, channels, h, h) out of it, (N, h, h, channels), or (N, h, h) if there is one channel.

    Raises:
        CsdmError: if it has another shape.
    """
    if found.ndim == 3 and channels == 1:
        found = found.unsqueeze(1)
    if found.ndim == 4 and found.shape[1] != channels and found.shape[3] == channels:
        found = found.permute(0, 3, 1, 2)
    if found.ndim != 4 or found.shape[1] != channels or found.shape[2] != found.shape[3] or not found.numel():
        expected = f"(N, {channels}, h, h) or (N, h, h, {channels})"
        raise CsdmError(f"{path} holds images of shape {tuple(found.shape)} (expected {expected})")
    return found
