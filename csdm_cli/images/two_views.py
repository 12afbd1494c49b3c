"""Random views of images, two of which self-supervised learning compares: crop and resize, flip, colour, grey.

The operations and their chances are those of SimCLR (arXiv 2002.05709), Barlow Twins (2103.03230) and VICReg
(2105.04906), less what small images cannot bear: no blur and no solarisation, and crops of a fifth of the area at
least, where the papers go down to 8 % of 224x224 pixels. Each is torchvision's operation of that name for a whole batch
at once, every image with numbers of its own; colours change in a fixed order, where torchvision draws that too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from csdm_cli.device import constant, to_device
from csdm_cli.names import ViewOperation

AREA = (0.2, 1.0)  # of a crop, as a share of the image's
RATIO = (3 / 4, 4 / 3)  # of a crop's width to its height
FLIPPED, COLOURED, GREYED = 0.5, 0.8, 0.2  # chances
LUMA = (0.2989, 0.587, 0.114)  # of red, green and blue in grey, as torchvision has them


@dataclass(frozen=True)
class Jitter:
    """How far colours may change: factors between 1 - reach and 1 + reach, the hue by as many turns of the wheel."""

    brightness: float
    contrast: float
    saturation: float
    hue: float


@dataclass(frozen=True)
class View:
    """The numbers of a view of n images.

    Attributes:
        box: (n, 4): left, top, width and height of each crop, as shares of the side.
        flip: (n,) bool.
        colour: (n, 4): factors of brightness, contrast and saturation; turns of hue.
        grey: (n,) bool.
    """

    box: Tensor
    flip: Tensor
    colour: Tensor
    grey: Tensor

    def to(self, device: torch.device) -> View:
        """The same on ``device``."""
        return View(*(to_device(value, device) for value in (self.box, self.flip, self.colour, self.grey)))


def draw_view(generator: torch.Generator, count: int, operations: frozenset[str], jitter: Jitter) -> View:
    """A view of ``count`` images, on the CPU; what is not among the ``operations`` changes nothing."""
    area, ratio, left, top, flip, coloured, grey, *colour = torch.rand(11, count, generator=generator)
    ratio = torch.exp(math.log(RATIO[0]) + ratio * math.log(RATIO[1] / RATIO[0]))
    area = AREA[0] + area * (AREA[1] - AREA[0])
    width, height = ((area * part).sqrt().clamp(max=1) for part in (ratio, 1 / ratio))
    box = torch.stack([left * (1 - width), top * (1 - height), width, height], 1)
    reach = torch.tensor([jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue])
    same = torch.tensor([1.0, 1.0, 1.0, 0.0])
    changed = (coloured < COLOURED)[:, None] & torch.tensor(ViewOperation.color in operations)
    return View(
        box if ViewOperation.crop in operations else torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(count, 4),
        (flip < FLIPPED) & torch.tensor(ViewOperation.flip in operations),
        torch.where(changed, same + reach * (2 * torch.stack(colour, 1) - 1), same),
        (grey < GREYED) & torch.tensor(ViewOperation.grey in operations),
    )


def seen(images: Tensor, view: View) -> Tensor:
    """``images`` (n, channels, H, H), floats in [0, 1], as ``view`` shows them: of the same shape and range."""
    view = view.to(images.device)
    images = cropped(images, view.box, view.flip)
    brightness, contrast, saturation, hue = view.colour.to(images.dtype)[..., None, None, None].unbind(1)
    images = (images * brightness).clamp(0, 1)
    images = _blended(images, _grey(images).mean((2, 3), keepdim=True), contrast)
    if images.shape[1] == 1:
        return images
    images = turned(_blended(images, _grey(images), saturation), hue[:, 0])
    return torch.where(view.grey[:, None, None, None], _grey(images), images)


def cropped(images: Tensor, box: Tensor, flip: Tensor) -> Tensor:
    """Each image's ``box`` resized to the whole, bilinearly, and mirrored where ``flip`` says so."""
    size = images.shape[-1]
    places = (2 * torch.arange(size, device=images.device, dtype=images.dtype) + 1) / size - 1  # -1 and 1 are borders
    left, top, width, height = box.to(images.dtype)[..., None].unbind(1)  # (n, 1)
    across = 2 * left + width - 1 + width * torch.where(flip[:, None], -places, places)
    down = 2 * top + height - 1 + height * places
    grid = torch.stack(torch.broadcast_tensors(across[:, None, :], down[:, :, None]), -1)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False).clamp(0, 1)


def turned(images: Tensor, hue: Tensor) -> Tensor:
    """Colours (n, 3, H, H) further round the wheel by ``hue`` (n, 1, 1) turns, their value and saturation kept."""
    value = images.amax(1)
    chroma = value - images.amin(1)
    red, green, blue = images.unbind(1)
    some = torch.where(chroma > 0, chroma, 1)
    sextant = torch.where(value == red, (green - blue) / some, 0)
    sextant = torch.where((value == green) & (value != red), 2 + (blue - red) / some, sextant)
    sextant = torch.where((value == blue) & (value != red) & (value != green), 4 + (red - green) / some, sextant)
    starts = _per_channel((5.0, 3.0, 1.0), images)
    away = ((sextant + 6 * hue)[:, None] + starts) % 6
    return value[:, None] - chroma[:, None] * torch.minimum(away, 4 - away).clamp(0, 1)


def _blended(images: Tensor, other: Tensor, share: Tensor) -> Tensor:
    return (share * images + (1 - share) * other).clamp(0, 1)


def _grey(images: Tensor) -> Tensor:
    """(n, channels, H, H) -> (n, 1, H, H)."""
    return images if images.shape[1] == 1 else (images * _per_channel(LUMA, images)).sum(1, keepdim=True)


def _per_channel(values: Sequence[float], images: Tensor) -> Tensor:
    return constant(tuple(values), images.dtype, images.device)[:, None, None]
