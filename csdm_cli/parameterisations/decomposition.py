"""Small tensors times shared kernels: every pair of them is an image (NSD).

Yang et al. 2024, "Neural Spectrum Decomposition for Dataset Distillation" (arXiv 2408.16236): a set is learned as N_T
tensors T_i and N_K sets of matrices K_j, one matrix per axis of an image, and x_{j+(i−1)·N_K} = T_i ×₁ K_j¹ ×₂ K_j² ×₃
K_j³. Its code is not public and the paper leaves much open. What is chosen here:

* The axes are channels, rows and columns; the axis of samples is not decomposed.
* A class has its own tensors; all classes share the kernels, which are what they have in common.
* Start: the kernels have orthonormal rows, at first the leading singular vectors of all images along each axis (a
  truncated higher-order SVD); then, in turns, every tensor becomes the mean of its images' cores and every kernel the
  best one with orthonormal rows (a Procrustes problem), so that the squared error never grows. With one kernel set
  of full rank the start is the images themselves.
* The scale that a tensor can hand to a kernel without changing any image is fixed after every step: over the kernel
  sets, each row of an axis has a mean square norm of 1.
* Stored in 16-bit floats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from csdm_cli.parameterisations.parameterisation import Leaves, OfShape, Shape, dequantised, quantised

AXES = ("channel_kernels", "row_kernels", "column_kernels")
SWEEPS = 10


@dataclass(frozen=True)
class Decomposition(OfShape):
    """``tensors`` spectra per class and ``kernels`` sets of matrices in all.

    Leaves: ``spectra`` (classes·tensors, t₁, t₂, t₃), and for each axis a leaf of :data:`AXES`, (kernels, t, u) with u
    the image's own extent. The images of a class are ordered tensor by tensor, the kernels of each in turn.

    Attributes:
        tensors: N_T per class.
        kernels: N_K.
        sizes: t of channels, rows and columns.
    """

    tensors: int
    kernels: int
    sizes: tuple[int, int, int]
    kind: ClassVar[str] = "decomposition"
    couples_classes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        assert all(1 <= t <= u for t, u in zip(self.sizes, self._extents, strict=True))

    @property
    def per_class(self) -> int:
        """Decoded images per class."""
        return self.tensors * self.kernels

    @property
    def _extents(self) -> tuple[int, int, int]:
        return self.shape.channels, self.shape.size, self.shape.size

    def initial(self, images: Tensor) -> Leaves:
        grouped = images.double().unflatten(0, (-1, self.kernels))  # (tensors, kernels, channels, rows, columns)
        bases = [_leading(images.double(), axis + 1, size) for axis, size in enumerate(self.sizes)]
        matrices = [basis.expand(self.kernels, -1, -1).clone() for basis in bases]
        for _ in range(SWEEPS):
            cores = _cores(grouped, matrices)
            for axis in range(len(AXES)):
                matrices[axis] = _procrustes(grouped, cores, matrices, axis)
        leaves = {"spectra": _cores(grouped, matrices)} | dict(zip(AXES, matrices, strict=True))
        return {name: value.to(images.dtype) for name, value in leaves.items()}

    def decode(self, leaves: Leaves, first: int = 0, last: int | None = None) -> Tensor:
        last = self.shape.classes if last is None else last
        spectra = leaves["spectra"][first * self.tensors : last * self.tensors]
        return _product(spectra, [leaves[axis] for axis in AXES]).flatten(0, 1)

    def project(self, leaves: Leaves) -> None:
        """Fix the scale between tensors and kernels; the images stay as they are."""
        with torch.no_grad():
            for axis, name in enumerate(AXES):
                scale = leaves[name].square().sum(2).mean(0).sqrt()  # one per row
                scale = torch.where(scale > 0, scale, torch.ones_like(scale))
                leaves[name].div_(scale[:, None])
                leaves["spectra"].mul_(scale.view([-1 if axis == other else 1 for other in range(len(AXES))]))

    def stored(self, leaves: Leaves) -> Leaves:
        return quantised(leaves, dict.fromkeys(leaves, torch.float16))

    def opened(self, stored: Leaves) -> Tensor:
        return self.decode(dequantised(stored)).clamp(0, 1)

    def numbers(self) -> int:
        return self.shape.classes * self.tensors * self._core + self._kernel_numbers

    def bytes(self) -> int:
        return self.numbers() * torch.float16.itemsize

    def header(self) -> dict[str, Any]:
        return {"tensors": self.tensors, "kernels": self.kernels, "sizes": list(self.sizes)}

    @property
    def _core(self) -> int:
        return self.sizes[0] * self.sizes[1] * self.sizes[2]

    @property
    def _kernel_numbers(self) -> int:
        return self.kernels * sum(t * u for t, u in zip(self.sizes, self._extents, strict=True))


def tensors_of_numbers(budget: int, shape: Shape, kernels: int, sizes: tuple[int, int, int]) -> int:
    """Tensors per class in ``budget`` numbers of the whole set beside ``kernels`` sets; 0 where not even one fits."""
    left = budget - Decomposition(shape, 0, kernels, sizes).numbers()
    return max(0, left // (shape.classes * sizes[0] * sizes[1] * sizes[2]))


def _product(spectra: Tensor, matrices: list[Tensor]) -> Tensor:
    """All pairs' mode products: (n, a, b, c) with (k, a, A), (k, b, B), (k, c, C) -> (n, k, A, B, C)."""
    channels, rows, columns = matrices
    part = torch.einsum("nabc,kcw->nkabw", spectra, columns)
    part = torch.einsum("nkabw,kbh->nkahw", part, rows)
    images: Tensor = torch.einsum("nkahw,kag->nkghw", part, channels)
    return images


def _cores(grouped: Tensor, matrices: list[Tensor]) -> Tensor:
    """The tensors of least squared error for kernels with orthonormal rows: (n, k, A, B, C) -> (n, a, b, c)."""
    summed: Tensor = torch.einsum("nkghw,kag,kbh,kcw->nabc", grouped, *matrices)
    return summed / grouped.shape[1]


def _procrustes(grouped: Tensor, cores: Tensor, matrices: list[Tensor], axis: int) -> Tensor:
    """The kernels of one axis, of orthonormal rows, with the least squared error given all else: (k, t, u)."""
    whole = torch.eye(cores.shape[axis + 1]).to(cores).expand(len(matrices[0]), -1, -1)
    others = [whole if own == axis else matrix for own, matrix in enumerate(matrices)]
    rest = _product(cores, others)
    shared = ["g", "h", "w"]
    mine, theirs = shared.copy(), shared.copy()
    mine[axis], theirs[axis] = "t", "u"
    across = torch.einsum(f"nk{''.join(mine)},nk{''.join(theirs)}->ktu", rest, grouped)
    left, _, right = torch.linalg.svd(across, full_matrices=False)
    nearest: Tensor = left @ right
    return nearest


def _leading(images: Tensor, axis: int, rank: int) -> Tensor:
    """The leading left singular vectors of the unfolding along ``axis``, as orthonormal rows (rank, u)."""
    unfolded = images.movedim(axis, 0).flatten(1)
    _, vectors = torch.linalg.eigh(unfolded @ unfolded.T)
    rows = vectors.flip(1)[:, :rank].T
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
    signed: Tensor = rows * largest.sign()  # an eigenvector's sign is free: its largest entry is positive
    return signed
