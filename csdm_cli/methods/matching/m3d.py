"""M3D: minimising the maximum mean discrepancy (Zhang et al., AAAI 2024, arXiv 2312.15927)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from csdm_cli.errors import UsageError, asked_by
from csdm_cli.methods import shared_options
from csdm_cli.methods.contract import MatchingMethod, option
from csdm_cli.methods.statistics import Batch, ClassSummary, Request
from csdm_cli.names import KernelName
from csdm_cli.spectral.kernels import check_shape
from csdm_cli.spectral.mmd import biased_mmd2

KERNELS = (KernelName.rbf, KernelName.linear, KernelName.polynomial)
DEGREE = 2.0


@dataclass(frozen=True)
class M3dParameters:
    """The kernel (``--kernel``, ``--kernel-shape``: rbf is the Gaussian) and the weights of the moments."""

    kernel: shared_options.Kernel
    kernel_shape: shared_options.KernelShape
    scales: Annotated[int, Field(ge=1)] = option(5, "rbf: Gaussians summed, each twice as wide as the one before")
    width: Annotated[float, Field(gt=0)] = option(
        1.0, "rbf: squared width of the middle Gaussian, as a multiple of the batch's mean squared distance"
    )
    second: Annotated[float, Field(ge=0)] = option(0.0, "weight of the second central moments")
    third: Annotated[float, Field(ge=0)] = option(0.0, "weight of the third central moments")


@dataclass(frozen=True)
class CentralMoments(ClassSummary):
    """Second and third central moments of every feature of a class."""

    name: ClassVar[str] = "central_moments"

    def of(self, features: Tensor, channels: int, seed: int) -> Tensor:
        """(n, D) -> (2, D)."""
        return central_moments(features[None])[0]


class M3d(MatchingMethod):
    """Σ_c MMD²_k(real_c, synthetic_c) + λ₂·‖m₂ - m₂'‖²/‖σ²‖² + λ₃·‖m₃ - m₃'‖²/‖σ³‖² of unnormalised features.

    MMD² is the biased estimator mean k(T,T) + mean k(S,S) - 2·mean k(T,S) in the Gaussian kernel's space (or the
    linear or polynomial one's, which the paper compares); m₂ and m₃ are the real features' central moments, one by
    one, m₂' and m₃' the synthetic ones'. They are divided by the real deviations σ, for the Gaussian's MMD² has no
    unit either; a real third moment itself may be near 0.
    The Gaussian is Σ_j exp(-‖x-y‖²/(2^j·b)) over ``scales`` values of j around 0, b the mean squared distance of
    all pairs of the class's real and synthetic images, which passes no gradient: the form in which the loss is
    handed on with code that builds on M3D (the paper's text says Gaussian only, and ``scales`` 1 is a single one).
    M3D's training script minimises this MMD² alone, and so does this method by default: λ₂ = λ₃ = 0. The moments
    are this project's own addition, after a report that the paper looks at them. With ``--kernel linear`` this is dm.
    """

    Parameters = M3dParameters
    summary = "kernel MMD of the features"
    source = "Zhang et al., AAAI 2024, arXiv 2312.15927"
    cost = "a real minibatch forward per step and its kernel matrices, n² per class (linear kernel: bank)"
    departures = (
        "looks through the trained teachers instead of random networks, new ones every few iterations; one step for all"
        " classes (the script: one per class); the rate of its pixels is not known for CIFAR"
    )
    parameters: M3dParameters

    def __init__(self, parameters: M3dParameters) -> None:
        """Raises: UsageError if the kernel is another one, or cannot have this shape."""
        super().__init__(parameters)
        if parameters.kernel not in KERNELS:
            raise UsageError(f"--kernel {parameters.kernel}: m3d takes {', '.join(KERNELS)}")
        self.degree = DEGREE if parameters.kernel_shape is None else parameters.kernel_shape
        with asked_by("--kernel-shape"):
            check_shape(parameters.kernel, self.degree)

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """As the training script has it; its learning rate for CIFAR is not known from a source, and left out."""
        distill = {"iterations": 10_000, "optimizer": "sgd", "schedule": "constant", "factor": 2, "initial": "mix"}
        distill |= {"augment": "color_crop_cutout", "augment_mode": "compose", "real": "fresh", "real_batch": 256}
        return {"distill": distill}

    def request(self) -> Request:
        p = self.parameters
        linear = p.kernel is KernelName.linear
        moments = p.second > 0 or p.third > 0
        return Request(mean=linear, features=not linear, summaries=(CentralMoments(),) if moments else ())

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        p = self.parameters
        terms = {"mmd": self._mmd(batch)}
        if p.second > 0 or p.third > 0:
            own = central_moments(batch.by_class(batch.features))  # (c, 2, D)
            distances = moment_distances(own, batch.real.summaries[CentralMoments.name]).sum(0)  # (2,)
            weighted = {"second": p.second * distances[0], "third": p.third * distances[1]}
            terms |= {name: term for name, term in weighted.items() if getattr(p, name) > 0}
        return terms

    def idle_options(self) -> frozenset[str]:
        kernel = self.parameters.kernel
        shape = frozenset() if kernel is KernelName.polynomial else frozenset({"kernel_shape"})
        return shape if kernel is KernelName.rbf else shape | {"scales", "width"}

    def _mmd(self, batch: Batch) -> Tensor:
        p = self.parameters
        if p.kernel is KernelName.linear:
            return batch.distance_of_means()
        assert batch.real.features is not None
        pairs = zip(batch.real.features, batch.by_class(batch.features), strict=True)  # (n_c, D) and (per_class, D)
        if p.kernel is KernelName.polynomial:
            return torch.stack([biased_mmd2(real, own, p.kernel, 1.0, self.degree) for real, own in pairs]).sum()
        return torch.stack([self._gaussian(real, own) for real, own in pairs]).sum()

    def _gaussian(self, real: Tensor, own: Tensor) -> Tensor:
        squared = SquaredDistances.between(real, own)
        return squared.mmd2(self.parameters.width * squared.mean_of_pairs(), self.parameters.scales)


def central_moments(features: Tensor) -> Tensor:
    """Second and third: (c, n, D) -> (c, 2, D)."""
    centred = features - features.mean(1, keepdim=True)
    squared = centred.square()
    return torch.stack([squared.mean(1), (squared * centred).mean(1)], 1)


def moment_distances(own: Tensor, real: Tensor) -> Tensor:
    """‖m₂ - m₂'‖²/‖σ²‖² and ‖m₃ - m₃'‖²/‖σ³‖² of (c, 2, D) moments, σ² = m₂ the real ones: (c, 2).

    0 where the real features do not vary (a class of one image).
    """
    variances = real[:, 0]
    scale = torch.stack([variances.square().sum(1), variances.pow(3).sum(1)], 1)
    return (own - real).square().sum(2) / torch.where(scale > 0, scale, torch.inf)


@dataclass(frozen=True)
class SquaredDistances:
    """Between n real rows, (n, n); m synthetic ones, (m, m); and both, (n, m)."""

    real: Tensor
    own: Tensor
    both: Tensor

    @staticmethod
    def between(real: Tensor, own: Tensor) -> SquaredDistances:
        """Squared distances of rows (n, D) without gradient and (m, D) with: matrix products of centred rows."""
        centre = real.mean(0)
        x, y = real - centre, own - centre
        return SquaredDistances(_squared(x, x), _squared(y, y), _squared(x, y))

    @torch.no_grad()
    def mean_of_pairs(self) -> Tensor:
        """Over all ordered pairs of different rows, real and synthetic together: a scalar above 0."""
        count = sum(self.both.shape)
        total = self.real.sum() + self.own.sum() + 2 * self.both.sum()
        return (total / (count**2 - count)).clamp_min(torch.finfo(total.dtype).tiny)

    def mmd2(self, width: Tensor | float, scales: int) -> Tensor:
        """The biased MMD² of Σ_j exp(-squared/(2^j·width)), j from -⌊scales/2⌋: a scalar."""
        total = torch.zeros_like(self.own[0, 0])
        for j in range(scales):
            wide = width * 2.0 ** (j - scales // 2)
            real, own, both = (((-block / wide).exp()).mean() for block in (self.real, self.own, self.both))
            total = total + real + own - 2 * both
        return total


def _squared(x: Tensor, y: Tensor) -> Tensor:
    return (x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T).clamp_min(0)
