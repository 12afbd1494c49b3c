"""Class centralisation (Deng et al., CVPR 2024, arXiv 2404.00563): a class's synthetic images stay close together."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from csdm_cli.methods.regularisers.base import Regulariser
from csdm_cli.methods.statistics import Batch


def scatter(batch: Batch, exponent: float = 0.0) -> Tensor:
    """Σ_c Σ_i ‖ψ(s_i) - mean_j ψ(s_j)‖² over the images i, j of class c: a scalar.

    Args:
        batch: ψ are its unnormalised features.
        exponent: a > 0 sums exp(a·‖·‖²) instead.
    """
    features = batch.by_class(batch.features)
    squared = (features - features.mean(1, keepdim=True)).square().sum(2)
    return (exponent * squared).exp().sum() if exponent > 0 else squared.sum()


class Centralization(Regulariser):
    """Σ_c Σ_i ‖ψ(s_i) - mean ψ‖²: the squared distances of a class's images from their mean."""

    summary = "pulls the synthetic images of a class together"
    source = "Deng et al., CVPR 2024, arXiv 2404.00563, class centralisation"
    default_weight: ClassVar[float] = 0.05

    def term(self, batch: Batch) -> Tensor:
        return scatter(batch)
