"""Arrays of numbers as images: which axis the channels are, and which numbers are black and white."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csdm_cli.errors import CsdmError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANNELS = (1, 3, 4)  # grey, colour, colour with transparency


def channels_last(images: NDArray[Any], what: str) -> NDArray[Any]:
    """(N, height, width) or (N, height, width, 3 or 4) out of these, or of channels before height and width.

    Raises:
        CsdmError: naming ``what``, if they are no images.
    """
    if images.ndim == 4 and images.shape[3] not in CHANNELS and images.shape[1] in CHANNELS:
        images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in CHANNELS):
        shape = " x ".join(map(str, images.shape)) or "one number"
        wanted = "N x height x width, alone or with 1, 3 or 4 channels before or behind"
        raise CsdmError(f"{what} are {images.dtype} of {shape} (expected {wanted})")
    return images


@dataclass(frozen=True)
class Levels:
    """The scale of pixels.

    Attributes:
        factor: number that white, as it is stored, is multiplied by for 255.
        remarks: for the user, where that was not plain.
    """

    factor: int = 1
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(cls, images: NDArray[Any], what: str) -> Levels:
        """The scale that the values of the training images tell: 0 to 255, 0 to 1 in floats, or false and true.

        Raises:
            CsdmError: naming ``what``, if it is neither.
        """
        if images.dtype == np.uint8 or not images.size:
            return cls()
        if images.dtype.kind not in "biuf":
            raise CsdmError(f"{what} are {images.dtype} (expected numbers)")
        low, high = images.min(), images.max()
        if not (low >= 0 and high <= 255):  # NaN included
            raise CsdmError(f"{what} are {images.dtype} from {low:.4g} to {high:.4g} (expected 0 to 255, or 0 to 1)")
        if images.dtype.kind == "b" or (images.dtype.kind == "f" and high <= 1):
            return cls(255, (f"{images.dtype} pixels from 0 to 1 were multiplied by 255",))
        return cls()

    def bytes_of(self, images: NDArray[Any], what: str) -> NDArray[np.uint8]:
        """The images as uint8, rounded.

        Raises:
            CsdmError: naming ``what``, if a value is beyond black or white.
        """
        if images.dtype == np.uint8:
            return images
        scaled = images.astype(np.float32 if images.dtype.kind == "f" else np.int64) * self.factor
        if not (scaled.min() >= 0 and scaled.max() <= 255):
            raise CsdmError(f"{what} have pixels outside 0 to {255 // self.factor}, which those of training keep to")
        found: NDArray[np.uint8] = np.rint(scaled).astype(np.uint8)
        return found
