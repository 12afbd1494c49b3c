"""The storage of a distilled set: numbers, bytes, and how many plain images have as many bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from csdm_cli.artifacts.distilled import Coded, Distilled

RATE_BYTES = 8  # of a learned step size, read as a double


@dataclass(frozen=True)
class Storage:
    """The storage of a set.

    Attributes:
        numbers: stored numbers, as the literature counts them: pixels, coefficients, tensors and kernels, soft labels
            and a learned step size; without masks and the numbers of classes.
        bytes: size of all tensors in the file (masks, kernels, soft labels and numbers of classes included), and of a
            learned step size: a double, which the recipe in the file's header writes in decimals.
        ipc_equivalent: the 8-bit images per class that have as many bytes as all but the numbers of classes, which
            the order of images tells already.
    """

    numbers: int
    bytes: int
    ipc_equivalent: float

    @property
    def text(self) -> str:
        """In a line."""
        return f"{self.numbers:,} numbers, {self.bytes:,} bytes, as many as {self.ipc_equivalent:.2f} images per class"


def storage_of(distilled: Distilled, beside: Sequence[Tensor] = ()) -> Storage:
    """The storage of a set as it is written, and of what students need ``beside`` it: weights of labelling teachers."""
    soft = distilled.soft_labels.probabilities if distilled.soft_labels else None
    coded = isinstance(distilled.decoding, Coded)
    numbers = distilled.parameterisation().numbers() if coded else distilled.stored["images"].numel()
    weight = sum(tensor.nbytes for tensor in distilled.stored.values()) + (0 if soft is None else soft.nbytes)
    weight += sum(tensor.nbytes for tensor in beside)
    rates = 0 if distilled.learned_rate is None else 1
    weight += rates * RATE_BYTES
    return Storage(
        numbers=numbers + (0 if soft is None else soft.numel()) + sum(tensor.numel() for tensor in beside) + rates,
        bytes=weight + (0 if coded else distilled.labels.nbytes),
        ipc_equivalent=distilled.shape.ipc_equivalent(weight),
    )
