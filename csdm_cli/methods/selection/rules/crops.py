"""Square random crops of real images, and which of them to keep."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def draw_boxes(count: int, size: int, smallest: float, rng: torch.Generator) -> Tensor:
    """Random squares inside images of ``size`` pixels a side.

    Args:
        count: how many.
        size: height and width of the images.
        smallest: the squares' areas are spread evenly from this share of the image to all of it.
        rng: on the CPU.

    Returns:
        (count, 3) int64: top, left and side.
    """
    share = smallest + (1 - smallest) * torch.rand(count, generator=rng, dtype=torch.float64)
    side = (size * share.sqrt()).round().clamp(1, size)  # (count,)
    corner = torch.rand(count, 2, generator=rng, dtype=torch.float64) * (size - side + 1)[:, None]
    return torch.cat([corner.floor(), side[:, None]], 1).long()


def cut(images: Tensor, boxes: Tensor, side: int) -> Tensor:
    """One box of each image, resized so that every pixel in it counts (bilinear, antialiased).

    Args:
        images: (n, C, H, W) uint8.
        boxes: (n, 3), of :func:`draw_boxes`.
        side: height and width of the results.

    Returns:
        (n, C, side, side) float32 in [0, 1].
    """
    crops = torch.empty(*images.shape[:2], side, side, device=images.device)
    for length in boxes[:, 2].unique().tolist():  # boxes of one size are resized together
        members = (boxes[:, 2] == length).nonzero()[:, 0]
        parts = [images[n, :, y : y + length, x : x + length] for n, (y, x, _) in _rows(members, boxes)]
        pixels = torch.stack(parts).float() / 255
        sized = F.interpolate(pixels, size=(side, side), mode="bilinear", align_corners=False, antialias=True)
        crops[members.to(images.device)] = sized.clamp(0, 1)
    return crops


def _rows(members: Tensor, boxes: Tensor) -> list[tuple[int, list[int]]]:
    return list(zip(members.tolist(), boxes[members].tolist(), strict=True))


def best_crops(losses: Tensor, wanted: int) -> Tensor:
    """The crops to keep: of every image its best one, and of those the best; then second-best ones, and so on.

    Args:
        losses: (n, m) of m crops of each of n images.
        wanted: how many to keep, n·m at most.

    Returns:
        (wanted, 2) int64 on the CPU: image and crop, round by round, within a round the lowest loss first.
    """
    assert 0 < wanted <= losses.numel()
    ranked, crop = losses.cpu().sort(dim=1, stable=True)  # (n, m)
    image = ranked.argsort(dim=0, stable=True)  # (n, m): per round, images from best to worst
    pairs = torch.stack([image, crop.gather(0, image)], 2)  # (n, m, 2)
    return pairs.transpose(0, 1).reshape(-1, 2)[:wanted]
