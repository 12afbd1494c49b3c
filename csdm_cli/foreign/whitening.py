"""ZCA whitening, as MTT, FTD, DATM and LTDD apply it before they distil, and its inverse.

With images flattened to rows x in [0, 1], mean m and covariance U S Uᵀ over the training set, whitened images are
(x - m) U (S + ε)^(-1/2) Uᵀ, ε = 0.1: ``ZCAWhitening`` of Kornia (Riba et al. 2020), the definition those tools use.
KIP's preprocessing is another one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from csdm_cli.errors import CsdmError

EPSILON = 0.1
MOST_VALUES = 12288  # of an image: the covariance of 64x64 in colour takes 1.2 GB


@dataclass(frozen=True, eq=False)
class Whitening:
    """The map fitted on a training set.

    Attributes:
        mean: (D,) of flattened images in [0, 1], D = channels · height · width.
        basis: (D, D) eigenvectors of their covariance, in columns.
        scale: (D,) √(eigenvalue + ε).
    """

    mean: Tensor
    basis: Tensor
    scale: Tensor

    @classmethod
    def fit(cls, images: Tensor) -> Whitening:
        """Fit on (n, C, h, w) uint8 images, n > 1.

        Raises:
            CsdmError: if the images are too large for their covariance.
        """
        rows = images.flatten(1)
        if rows.shape[1] > MOST_VALUES:
            shape = "×".join(map(str, images.shape[1:]))
            raise CsdmError(f"the whitening of {shape} images cannot be fitted: their covariance is too large")
        rows = rows.cpu()
        mean = rows.sum(0).double() / len(rows) / 255
        covariance = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)
        for part in rows.split(2048):
            centred = (part.double() / 255 - mean).float()  # products of centred values lose nothing in float32
            covariance += centred.T @ centred
        # In float32, a third of float64's time, eigenvalues err by 1e-6 of the largest; ε is 0.1.
        values, basis = torch.linalg.eigh((covariance / (len(rows) - 1)).float())
        return cls(mean, basis.double(), (values.double().clamp_min(0) + EPSILON).sqrt())

    def apply(self, images: Tensor) -> Tensor:
        """Whiten (N, C, h, w) images in [0, 1]; float32."""
        rows = (images.flatten(1).double() - self.mean) @ self.basis / self.scale @ self.basis.T
        return rows.reshape(images.shape).float()

    def undo(self, images: Tensor) -> Tensor:
        """Turn whitened (N, C, h, w) images back into pixels; float32, in [0, 1] as far as they were."""
        rows = images.flatten(1).double() @ self.basis * self.scale @ self.basis.T + self.mean
        return rows.reshape(images.shape).float()
