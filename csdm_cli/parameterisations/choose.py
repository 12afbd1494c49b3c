"""The parameterisation that settings ask for, within the bytes of so many 8-bit images per class.

What a setting leaves open is decided so:

* ``frequency``: :data:`IMAGES` images for each of the budget, as multi-formation at factor 2 has, and as many
  coefficients for each as the bytes then allow; with the number of coefficients given, as many images as fit.
* ``decomposition``: tensors of all channels and half the image's side, and :data:`KERNELS` sets of kernels. Where not
  one tensor per class fits beside them, fewer sets and then smaller tensors; a number that was given stays. As many
  tensors as then fit, and rows and columns of them, in turns, as far as the bytes go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

import torch
from torch import Tensor

from csdm_cli.errors import UsageError
from csdm_cli.names import Parameterization
from csdm_cli.parameterisations.decomposition import Decomposition, tensors_of_numbers
from csdm_cli.parameterisations.frequency import Frequency, class_masks, images_of_bytes, kept_of_bytes
from csdm_cli.parameterisations.multi_formation import MultiFormation
from csdm_cli.parameterisations.parameterisation import Parameterisation, Shape
from csdm_cli.parameterisations.pixels import Pixels
from csdm_cli.parameterisations.pyramid import Pyramid

IMAGES = 4
KERNELS = 4


def chosen(
    kind: Parameterization,
    shape: Shape,
    ipc: int,
    classes: Callable[[], Sequence[Tensor]],
    *,
    factor: int = 1,
    coefficients: int | None = None,
    shared_kernels: int | None = None,
    tensor_side: int | None = None,
) -> Parameterisation:
    """The parameterisation called ``kind`` in at most the bytes, and the numbers, of ``ipc`` images per class.

    Args:
        kind: its name.
        shape: the images that networks see.
        ipc: the budget.
        classes: gives the real images of each class, (n_c, channels, size, size) floats in [0, 1]; called by
            ``frequency`` alone.
        factor: factor of multi-formation.
        coefficients: number kept by ``frequency``, per image and channel; None decides as above.
        shared_kernels: sets of kernels of ``decomposition``; None decides as above.
        tensor_side: height and width of its tensors; None decides as above.

    Raises:
        UsageError: if what is asked for does not fit the images or the budget.
    """
    match kind:
        case Parameterization.pixels:
            return Pixels(shape, ipc)
        case Parameterization.multi_formation:
            return MultiFormation(shape, ipc, factor)
        case Parameterization.pyramid:
            return Pyramid(shape, ipc)
        case Parameterization.frequency:
            kept, per_class = _coefficients(shape, ipc, coefficients)
            return Frequency(shape, per_class, class_masks(classes(), kept))
        case Parameterization.decomposition:
            return _decomposition(shape, ipc, shared_kernels, tensor_side)


def _coefficients(shape: Shape, ipc: int, asked: int | None) -> tuple[int, int]:
    """Coefficients per image and channel, and images per class."""
    most = shape.size**2
    if asked is not None and asked > most:
        raise UsageError(f"--coefficients {asked}: images of {shape.size}×{shape.size} have {most} per channel")
    budget = ipc * shape.classes * shape.pixels
    kept = asked or kept_of_bytes(budget, IMAGES * ipc, shape)
    per_class = images_of_bytes(budget, kept, shape) if kept else 0
    if not per_class:
        wish = f"--coefficients {asked}" if asked else f"--parameterization {Frequency.kind}"
        raise UsageError(f"{wish}: not one image per class fits into the bytes of IPC {ipc}; raise --ipc")
    return kept, per_class


def _decomposition(shape: Shape, ipc: int, kernels: int | None, side: int | None) -> Decomposition:
    if side is not None and side > shape.size:
        raise UsageError(f"--tensor-side {side}: the images have a side of {shape.size}")
    numbers = ipc * shape.classes * shape.pixels // torch.float16.itemsize
    half = -(-shape.size // 2)
    for own_side in (side,) if side else range(half, 0, -1):
        for own_kernels in (kernels,) if kernels else range(KERNELS, 0, -1):
            sizes = (shape.channels, own_side, own_side)
            if tensors := tensors_of_numbers(numbers, shape, own_kernels, sizes):
                found = Decomposition(shape, tensors, own_kernels, sizes)
                return found if side else _grown(found, numbers)
    raise UsageError(
        f"--parameterization {Decomposition.kind}: kernels and one tensor per class do not fit into the bytes of"
        f" IPC {ipc}; raise --ipc, or lower --shared-kernels or --tensor-side"
    )


def _grown(found: Decomposition, numbers: int) -> Decomposition:
    """``found`` with as many rows and columns more, in turns, as fit into so many numbers."""
    for turn in count():
        sizes = list(found.sizes)
        sizes[1 + turn % 2] += 1
        if sizes[1 + turn % 2] > found.shape.size:
            break
        larger = replace(found, sizes=(sizes[0], sizes[1], sizes[2]))
        if larger.numbers() > numbers:
            break
        found = larger
    return found
