"""Matching of local covariances (Deng et al., CVPR 2024, arXiv 2404.00563)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from csdm_cli.methods.regularisers.base import Regulariser
from csdm_cli.methods.statistics import Batch, ClassSummary, Request


def local_covariance(features: Tensor, channels: int) -> Tensor:
    """mean_i Σ_p (x_ip - mean_j x_jp)(x_ip - mean_j x_jp)ᵀ over images i and positions p.

    Not divided by the number P of positions, as in the authors' code, to which their weight belongs; dividing
    would be the same loss at 1/P² of the weight.

    Args:
        features: (c, n, D), the images of c classes, flattened maps of ``channels``.

    Returns:
        (c, channels, channels).
    """
    classes, count = features.shape[:2]
    maps = (features - features.mean(1, keepdim=True)).view(classes, count, channels, -1)
    rows = maps.transpose(1, 2).reshape(classes, channels, -1)
    return rows @ rows.transpose(1, 2) / count


@dataclass(frozen=True)
class LocalCovariance(ClassSummary):
    """:func:`local_covariance` of a real class: channels x channels."""

    name: ClassVar[str] = "local_covariance"

    def of(self, features: Tensor, channels: int, seed: int) -> Tensor:
        """(n, D) -> (channels, channels)."""
        return local_covariance(features[None], channels)[0]


def covariance_distance(batch: Batch) -> Tensor:
    """Σ_c ‖Cov_T - Cov_S‖²_F between the real and synthetic local covariances: a scalar."""
    own = local_covariance(batch.by_class(batch.features), batch.channels)
    return (own - batch.real.summaries[LocalCovariance.name]).square().sum()


class Covariance(Regulariser):
    """Σ_c ‖Cov_T - Cov_S‖²_F on the positions of the last maps."""

    summary = "matches the covariances between the channels of the last maps"
    source = "Deng et al., CVPR 2024, arXiv 2404.00563, covariance matching"
    default_weight: ClassVar[float] = 0.01

    def request(self) -> Request:
        return Request(summaries=(LocalCovariance(),))

    def term(self, batch: Batch) -> Tensor:
        return covariance_distance(batch)
