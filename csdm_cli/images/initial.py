"""The synthetic images before the first step."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from csdm_cli.errors import CsdmError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.multi_formation import encode_mix
from csdm_cli.names import Initial
from csdm_cli.seeds import generator


def initial_images(
    data: ImageSet, ipc: int, factor: int, kind: Initial, seed: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Starting images, (classes·ipc, channels, size, size) in [0, 1], class after class.

    ``mix`` shrinks factor² random real images into the cells of each stored image, ``real`` takes real
    images as they are, ``noise`` draws pixels from a normal law with the data's mean and deviation.

    A class with fewer images than needed is used in rounds, each a new permutation; from the second
    round on every image is shifted by up to an eighth of its side, its edges repeated.
    """
    if kind is Initial.noise:
        shape = (data.classes * ipc, data.channels, data.size, data.size)
        noise = torch.randn(shape, generator=generator(seed, "initial"), dtype=dtype)
        mean, std = (torch.tensor(v, dtype=dtype).view(1, -1, 1, 1) for v in (data.mean, data.std))
        return (noise * std + mean).clamp(0, 1)
    per_image = factor**2 if kind is Initial.mix else 1
    chosen = [
        pick_images(data.of_class(label), ipc * per_image, generator(seed, "initial", label))
        for label in range(data.classes)
    ]
    images = torch.cat(chosen).cpu().to(dtype) / 255
    return encode_mix(images, factor, data.size) if kind is Initial.mix else images


def pick_images(images: Tensor, wanted: int, rng: torch.Generator) -> Tensor:
    """``wanted`` of (n, C, H, W) images without replacement; beyond n, in further rounds, shifted."""
    rounds = -(-wanted // len(images))
    picked = []
    for turn in range(rounds):
        part = images[torch.randperm(len(images), generator=rng).to(images.device)]
        picked.append(part if turn == 0 else shifted(part, rng))
    return torch.cat(picked)[:wanted]


def shifted(images: Tensor, rng: torch.Generator) -> Tensor:
    """Each of (n, C, H, W) images moved by up to an eighth of its side, its edges repeated."""
    height, width = images.shape[-2:]
    reach = max(1, width // 8)
    padded = pad(images.float(), (reach,) * 4, mode="replicate").to(images.dtype)
    offsets = torch.randint(0, 2 * reach + 1, (len(images), 2), generator=rng).tolist()
    return torch.stack([image[:, y : y + height, x : x + width] for image, (y, x) in zip(padded, offsets, strict=True)])


def to_uint8(images: Tensor) -> Tensor:
    """Round float pixels in [0, 1] to the nearest of 256 levels; beyond the range they are clipped.

    Raises:
        CsdmError: if a pixel is not a finite number.
    """
    if not images.isfinite().all():
        raise CsdmError("the images hold pixels that are not finite numbers: the run diverged; lower its --lr")
    return (images.detach().clamp(0, 1) * 255).round().to(torch.uint8)
