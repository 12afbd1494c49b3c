"""IID: inter-sample and inter-feature relations (Deng et al., CVPR 2024, arXiv 2404.00563)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from csdm_cli.methods.contract import MatchingMethod, option
from csdm_cli.methods.regularisers.centralization import scatter
from csdm_cli.methods.regularisers.covariance import LocalCovariance, covariance_distance
from csdm_cli.methods.statistics import Batch, Request


@dataclass(frozen=True)
class IidParameters:
    """Weights of the two terms that IID adds to dm."""

    centralization: Annotated[float, Field(ge=0)] = option(0.05, "weight λ_CC of the class centralisation")
    covariance: Annotated[float, Field(ge=0)] = option(0.01, "weight λ_CM of the covariance matching")
    exponent: Annotated[float, Field(ge=0)] = option(
        0.0, "a > 0: centralisation sums exp(a·distance²), the paper's form (0.02 there)"
    )


class Iid(MatchingMethod):
    """dm + λ_CC·Σ_i ‖ψ(s_i) - mean ψ‖² + λ_CM·‖Cov_T - Cov_S‖²_F per class.

    Cov is the covariance between the channels of the last maps; see
    :func:`csdm_cli.methods.regularisers.covariance.local_covariance`. The paper puts the squared distances of the
    centralisation under an exponential; the authors' code drops it, says that the results are the same, and gives
    the weights used here. ``exponent`` brings it back. With both weights 0 this is dm.
    """

    Parameters = IidParameters
    summary = "dm with class centralisation and local covariances"
    source = "Deng et al., CVPR 2024, arXiv 2404.00563, on DM"
    cost = "one forward and backward of the synthetic images per step (bank)"
    departures = (
        "looks through the trained teachers instead of new random networks; centralisation in the features of the"
        " matching teacher, not of a pool of ResNet-18; one step for all classes; weights for features of 2,048"
        " numbers; pixels are clamped to [0, 1]"
    )
    parameters: IidParameters

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """On DM. Its learning rate, 1 for SGD on normalised pixels, is 1·σ² = 0.04 on pixels in [0, 1]."""
        distill = {"iterations": 20000, "optimizer": "sgd", "lr": 0.04, "schedule": "constant", "initial": "real"}
        return {"distill": distill | {"factor": 1, "real": "fresh", "real_batch": 256}}

    def request(self) -> Request:
        return Request(mean=True, summaries=(LocalCovariance(),) if self.parameters.covariance > 0 else ())

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        p = self.parameters
        terms = {"mean": batch.distance_of_means()}  # of (c, D) means; every term is a scalar
        if p.centralization > 0:
            terms["centralization"] = p.centralization * scatter(batch, p.exponent)
        if p.covariance > 0:
            terms["covariance"] = p.covariance * covariance_distance(batch)
        return terms

    def idle_options(self) -> frozenset[str]:
        return frozenset() if self.parameters.centralization > 0 else frozenset({"exponent"})
