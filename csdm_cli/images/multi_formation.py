"""Multi-formation: several training images from each stored one, and the way back.

A stored image is a grid of ``factor`` x ``factor`` cells; each cell, enlarged to the networks' input size,
is one training image (Kim et al. 2022, "Dataset Condensation via Efficient Synthetic-Data
Parameterization", section 4). The map is linear apart from a constant padding, and differentiable.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

PADDING = 0.5  # mid-grey: what fills the last cells where the factor does not divide the stored size


def cell_side(stored_size: int, factor: int) -> int:
    """Height and width of one cell of a stored image: ``stored_size / factor``, rounded up."""
    return -(-stored_size // factor)


def decode(images: Tensor, factor: int, size: int) -> Tensor:
    """The training images held in stored ones.

    Args:
        images: (N, C, h, h) float, pixels in [0, 1].
        factor: cells per side. Where it does not divide h, the image is padded with mid-grey at the
            right and at the bottom.
        size: height and width of the decoded images; each cell is enlarged to it bilinearly
            (``align_corners=False``).

    Returns:
        (N * factor², C, size, size): image by image, the cells of each row by row. With factor 1 and
        h equal to ``size``, ``images`` itself.
    """
    count, channels, height, width = images.shape
    assert height == width and images.is_floating_point() and 1 <= factor <= height
    if factor == 1 and height == size:
        return images
    side = cell_side(height, factor)
    if short := side * factor - height:
        images = F.pad(images, (0, short, 0, short), value=PADDING)
    cells = images.reshape(count, channels, factor, side, factor, side)  # rows, y, columns, x
    cells = cells.permute(0, 2, 4, 1, 3, 5).reshape(count * factor**2, channels, side, side)
    if side == size:
        return cells
    return F.interpolate(cells, size=(size, size), mode="bilinear", align_corners=False)


def encode_mix(images: Tensor, factor: int, size: int) -> Tensor:
    """Stored images whose cells are whole images shrunk: where the "mix" initialiser starts.

    The shrinking is bilinear with antialiasing (a triangle as wide as two cells' pixels, so that every
    pixel of the source counts): :func:`decode` then gives blurred versions of ``images``, in their order.

    Args:
        images: (M, C, H, W) float; M is a multiple of ``factor``².
        factor: cells per side.
        size: height and width of the stored images. Where ``factor`` does not divide it, the last row
            and column of cells are cut off at the image's border.

    Returns:
        (M / factor², C, size, size); with factor 1 and H = W = ``size``, ``images`` itself.
    """
    count, channels, height, width = images.shape
    assert images.is_floating_point() and count % factor**2 == 0 and 1 <= factor <= size
    if factor == 1 and height == width == size:
        return images
    side = cell_side(size, factor)
    cells = F.interpolate(images, size=(side, side), mode="bilinear", align_corners=False, antialias=True)
    grid = cells.reshape(-1, factor, factor, channels, side, side).permute(0, 3, 1, 4, 2, 5)
    return grid.reshape(-1, channels, factor * side, factor * side)[:, :, :size, :size].contiguous()
