"""Multi-formation by loops over images, cells and pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def decode_slowly(images: Tensor, factor: int, size: int) -> Tensor:
    """As ``csdm_cli.images.multi_formation.decode``, one pixel at a time."""
    count, channels, height, width = images.shape
    side = math.ceil(height / factor)
    padded = images.new_full((count, channels, side * factor, side * factor), 0.5)
    padded[:, :, :height, :width] = images
    decoded = []
    for image in padded:
        for row in range(factor):
            for column in range(factor):
                cell = image[:, row * side : (row + 1) * side, column * side : (column + 1) * side]
                decoded.append(enlarge_slowly(cell, size))
    return torch.stack(decoded)


def enlarge_slowly(cell: Tensor, size: int) -> Tensor:
    """Bilinear enlargement of one (C, side, side) cell: pixel centres lie at half-integers."""
    side = cell.shape[-1]
    result = cell.new_zeros(cell.shape[0], size, size)
    for y in range(size):
        for x in range(size):
            top, down = neighbours(y, side, size)
            left, right = neighbours(x, side, size)
            for v, weight_v in (top, down):
                for u, weight_u in (left, right):
                    result[:, y, x] += weight_v * weight_u * cell[:, v, u]
    return result


def neighbours(position: int, side: int, size: int) -> tuple[tuple[int, float], tuple[int, float]]:
    """The two source pixels of one target pixel along an axis, and their weights."""
    source = max((position + 0.5) * side / size - 0.5, 0.0)
    first = min(int(source), side - 1)
    second = min(first + 1, side - 1)
    return (first, 1 - (source - first)), (second, source - first)
