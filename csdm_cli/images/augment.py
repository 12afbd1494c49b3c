"""Differentiable siamese augmentation (Zhao & Bilen 2021, "DSA") of normalised images, and cutmix.

Zero is the mean of normalised images: results are not clamped, and what comes into view from outside is zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from csdm_cli.device import to_device
from csdm_cli.images.augmentation_parameters import (
    COLUMN,
    OPERATIONS,
    PARAMETERS,
    Theta,
    draw,
    draw_stratified,
    parse_strategy,
)

__all__ = [
    "OPERATIONS",
    "Augmentation",
    "Theta",
    "affine_matrices",
    "augment",
    "cutmix",
    "draw",
    "draw_stratified",
    "parse_strategy",
    "sampling_varies",
]

COLOUR = ("brightness", "saturation", "contrast")
GEOMETRIC = frozenset({"crop", "flip", "scale", "rotate"})
CROP_REACH = 0.125  # largest shift, as a share of the side
CUTOUT_SIDE = 0.5  # of the image's side

Carried = tuple[bool, ...]  # whether colour, a warp and cutout occur


def augment(images: Tensor, theta: Theta) -> Tensor:
    """Apply θ to normalised images: colour, then one affine warp, then cutout. Differentiable in the images.

    Args:
        images: (N, C, H, H) float32 or float64.
        theta: G rows, each for N/G images that follow one another: one row for all images, say, or one for each.

    Returns:
        (N, C, H, H); rows whose warp is the identity are not resampled.
    """
    return Augmentation.of(theta, images, dense=images.requires_grad and sampling_varies(images))(images)


def sampling_varies(images: Tensor) -> bool:
    """Whether the gradient through resampled ``images`` would differ from run to run where equal bits are asked for."""
    return images.device.type == "cuda" and torch.are_deterministic_algorithms_enabled()


@dataclass(frozen=True)
class _Warp:
    """Affine maps of output to input coordinates, as sums of a column's and a line's part, in pixels from the centre.

    Attributes:
        across, down: (g, 2, size).
        moves: (g,), which of the maps are not the identity; None for all.
    """

    across: Tensor
    down: Tensor
    moves: Tensor | None

    def points(self) -> Tensor:
        """The points at which output pixels read the input: (g, size, size, 2)."""
        return (self.across[:, :, None] + self.down[..., None]).permute(0, 2, 3, 1)

    def sampled(self, images: Tensor) -> Tensor:
        """The images of each row, (g, n, C, H, H), through its map."""
        rows, each, *_, size = images.shape
        grid = self.points() * (2 / size)  # borders at -1 and 1
        grid = grid[:, None].expand(-1, each, -1, -1, -1).flatten(0, 1)
        flat = F.grid_sample(images.flatten(0, 1), grid, padding_mode="zeros", align_corners=False)  # bilinear
        warped = flat.unflatten(0, (rows, each))
        return warped if self.moves is None else torch.where(self.moves.view(-1, 1, 1, 1, 1), warped, images)

    def multiplied(self, images: Tensor) -> Tensor:
        """The same as a matrix product, whose backward pass is one with the transpose: deterministic on CUDA too.

        A row costs a matrix of H⁴ numbers (4 MB at 32x32, 67 MB at 64x64).
        """
        pixels = images.flatten(3).flatten(1, 2)  # (g, n · C, H²)
        return (pixels @ _bilinear_weights(self.points()).mT).view_as(images)


@dataclass(frozen=True)
class _Kind:
    """Rows of θ that carry the same operations, with the numbers of these; None for what does not occur.

    Attributes:
        rows: (g,) which of all rows; None for all.
        colour: (g, 3), of ``COLOUR``.
        warp: warp of the images.
        hole: (g, size) lines and columns of pixels, which cutout covers where they meet.
    """

    rows: Tensor | None
    colour: Tensor | None
    warp: _Warp | None
    hole: tuple[Tensor, Tensor] | None

    def apply(self, images: Tensor, dense: bool) -> Tensor:
        """(g, n, C, H, H) of the same shape; the images themselves if nothing occurs."""
        if self.colour is not None:
            images = _recolour(images, self.colour)
        if self.warp is not None:
            images = self.warp.multiplied(images) if dense else self.warp.sampled(images)
        if self.hole is not None:
            lines, columns = self.hole
            images = images.masked_fill(lines[:, None, None, :, None] & columns[:, None, None, None], 0)
        return images


@dataclass(frozen=True)
class Augmentation:
    """θ worked out for images of one size on their device: applying it moves nothing between host and device.

    On a CPU each operation is applied to the rows that carry it. A GPU is kept waiting by many small operations rather
    than by few large ones: there, what occurs in any row is applied to all, with numbers that change nothing.

    Attributes:
        groups: rows of θ.
        kinds: kinds of rows.
        order: (groups,) where each row is among those of the kinds, one kind after another; None for one kind.
        dense: whether warps are matrix products.
    """

    groups: int
    kinds: tuple[_Kind, ...]
    order: Tensor | None
    dense: bool

    @classmethod
    def of(cls, theta: Theta, images: Tensor, *, dense: bool = False) -> Augmentation:
        """The map for images like ``images`` (…, H, H): of that size and type, on that device."""
        size, device = images.shape[-1], images.device
        matrices = affine_matrices(theta, size, images.dtype)
        if theta.values.device.type == "cpu":
            members = _members(theta, matrices)
        else:  # what the rows carry is not known here
            known = ("color" in theta.operations, bool(theta.operations & GEOMETRIC), "cutout" in theta.operations)
            members = {known: list(range(len(theta)))}
        if device.type != "cpu" or len(members) == 1:
            occurring = tuple(any(column) for column in zip(*members, strict=True))
            return cls(len(theta), (_kind(theta, matrices, None, occurring, size, device),), None, dense)
        rows = {carried: torch.tensor(numbers) for carried, numbers in members.items()}
        kinds = [_kind(theta, matrices, own, carried, size, device) for carried, own in rows.items()]
        return cls(len(theta), tuple(kinds), torch.cat(list(rows.values())).argsort(), dense)

    def __call__(self, images: Tensor) -> Tensor:
        """(N, C, H, H) to the same shape; differentiable."""
        assert images.shape[2] == images.shape[3]
        rows = images.unflatten(0, (self.groups, -1))
        if self.order is None:
            changed = self.kinds[0].apply(rows, self.dense)
            return images if changed is rows else changed.flatten(0, 1)
        own = [(kind, rows.index_select(0, kind.rows)) for kind in self.kinds if kind.rows is not None]
        parts = [kind.apply(picked, self.dense) for kind, picked in own]
        return torch.cat(parts).index_select(0, self.order).flatten(0, 1)


def _members(theta: Theta, matrices: Tensor) -> dict[Carried, list[int]]:
    """The rows of a θ on the CPU, by what they carry."""
    neutral = torch.tensor([PARAMETERS[name].identity for name in COLOUR])
    coloured = (_colour(theta) != neutral).any(1)
    members: dict[Carried, list[int]] = {}
    for row, carried in enumerate(torch.stack([coloured, _moves(matrices), theta["cutout"] > 0], 1).tolist()):
        members.setdefault(tuple(carried), []).append(row)
    return members


def _kind(
    theta: Theta, matrices: Tensor, rows: Tensor | None, carried: Carried, size: int, device: torch.device
) -> _Kind:
    """The values of the ``rows``, all if None, as tensors on the device."""
    if rows is not None:
        theta, matrices = theta.rows(rows), matrices[rows]
    coloured, warped, cut = carried
    return _Kind(
        rows,
        to_device(_colour(theta).to(matrices.dtype), device) if coloured else None,
        _warp(matrices, size, device) if warped else None,
        _hole(theta, size, device) if cut else None,
    )


def _colour(theta: Theta) -> Tensor:
    return theta.values[:, COLUMN[COLOUR[0]] : COLUMN[COLOUR[-1]] + 1]


def _recolour(images: Tensor, colour: Tensor) -> Tensor:
    """Brightness, then saturation, then contrast, written as one linear map of the pixels.

    With b, s, c the three parameters, x a pixel, m its mean over channels and μ the image's mean:
    c·(s·(x + b) + (1−s)·(m + b)) + (1−c)·(μ + b) = cs·x + c(1−s)·m + (1−c)·μ + b.
    """
    brightness, saturation, contrast = colour[..., None, None, None, None].unbind(1)  # (g, 1, 1, 1, 1)
    grey = images.mean(2, keepdim=True)  # (g, n, 1, H, H)
    offset = contrast * (1 - saturation) * grey + ((1 - contrast) * grey.mean((3, 4), keepdim=True) + brightness)
    return torch.addcmul(offset, images, contrast * saturation)


def affine_matrices(theta: Theta, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Maps from output to input coordinates, in pixels from the image's centre: (G, 2, 3).

    The image is first flipped, then scaled, then rotated, then shifted (crop). An output point p therefore
    reads the input at F·S·R·C·p, the shift C being the first to act on p.
    """
    reach = int(CROP_REACH * size + 0.5)  # pixels

    def shift(name: str) -> Tensor:
        steps = ((theta[name] + 1) / 2 * (2 * reach + 1)).floor().clamp(max=2 * reach)
        return steps.to(dtype) - reach

    angle = theta["angle"].to(dtype).deg2rad()
    cos, sin, right, down = angle.cos(), angle.sin(), shift("shift_x"), shift("shift_y")
    across = (1 - 2 * theta["flip"].to(dtype)) * theta["scale_x"].to(dtype)
    along = theta["scale_y"].to(dtype)
    first = torch.stack([across * cos, -across * sin, across * (cos * right - sin * down)], -1)  # (G, 3)
    second = torch.stack([along * sin, along * cos, along * (sin * right + cos * down)], -1)
    return torch.stack([first, second], 1)


def _moves(matrices: Tensor) -> Tensor:
    """The mask (g,) of the maps (g, 2, 3) that are not the identity."""
    return (matrices != torch.eye(2, 3, dtype=matrices.dtype, device=matrices.device)).flatten(1).any(1)


def _warp(matrices: Tensor, size: int, device: torch.device) -> _Warp:
    """The warp, by broadcasting: the matrix product of ``affine_grid`` loses digits under TF32 or autocast."""
    centred, moves = _centred(size, matrices), _moves(matrices)
    all_move = matrices.device.type == "cpu" and bool(moves.all())
    parts = (matrices[..., :1] * centred + matrices[..., 2:], matrices[..., 1:2] * centred)
    across, down = (to_device(part, device) for part in parts)
    return _Warp(across, down, None if all_move else to_device(moves, device))


def _centred(size: int, like: Tensor) -> Tensor:
    """Pixel positions relative to the centre: (size,), exact whole or half numbers."""
    return torch.arange(size, device=like.device, dtype=like.dtype) - (size - 1) / 2


def _bilinear_weights(points: Tensor) -> Tensor:
    """Weights of the input pixels at points in pixels from the centre: (g, H, H, 2) -> (g, H², H²).

    Bilinear interpolation weighs the input pixel at distance (dx, dy) by max(0, 1−|dx|)·max(0, 1−|dy|).
    """
    size = points.shape[1]
    distances = (points.flatten(1, 2)[..., None] - _centred(size, points)).abs()  # (g, size², 2, size)
    across, along = (1 - distances).clamp(min=0).unbind(2)
    return (along[..., :, None] * across[..., None, :]).flatten(2)


def _hole(theta: Theta, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Lines and columns that a hole of half the side covers: (g, size) each."""
    hole = int(CUTOUT_SIDE * size + 0.5)
    last = size - hole % 2  # a hole of even side may be centred on either border

    def covered(name: str) -> Tensor:
        start = (theta[name] * (last + 1)).floor().clamp(max=last) - hole // 2  # (g,)
        offset = torch.arange(size, device=start.device) - start[:, None]
        return to_device((offset >= 0) & (offset < hole) & (theta["cutout"] > 0)[:, None], device)

    return covered("hole_y"), covered("hole_x")


def cutmix(images: Tensor, targets: Tensor, probability: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Paste one box of a permuted batch into the batch, and mix the targets by its area (Yun et al. 2019).

    λ ~ Beta(1, 1); the box has side ⌊H·√(1−λ)⌋ and a uniform centre, and is clipped at the border.

    Args:
        images: (N, C, H, H).
        targets: (N, classes) probabilities.
        probability: probability of mixing this batch at all; otherwise both come back as they are.
        generator: source of randomness; on the CPU, so that the host need not wait for a device.

    Returns:
        Images and targets of the same shapes.
    """
    chance, lam, centre_y, centre_x = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
    if chance >= probability:
        return images, targets
    size = images.shape[-1]
    rows, columns = box(size, lam, centre_y, centre_x)
    partner = to_device(torch.randperm(len(images), generator=generator), images.device)
    mixed = images.clone()
    mixed[:, :, rows, columns] = images[partner, :, rows, columns]
    share = (rows.stop - rows.start) * (columns.stop - columns.start) / size**2
    return mixed, torch.lerp(targets, targets[partner], share)


def box(size: int, lam: float, centre_y: float, centre_x: float) -> tuple[slice, slice]:
    """Rows and columns of cutmix's box: of side ⌊size·√(1−λ)⌋ about a centre in [0, 1)², clipped at the border."""
    side = int(size * (1 - lam) ** 0.5)
    top, left = (int(centre * size) - side // 2 for centre in (centre_y, centre_x))
    rows, columns = (slice(max(start, 0), min(start + side, size)) for start in (top, left))
    return rows, columns
