"""DSDM: diversified semantic distribution matching (Li et al., ACM Multimedia 2024)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from csdm_cli.methods.contract import Context, MatchingMethod, option
from csdm_cli.methods.statistics import Batch, Request

HISTORY = "history"


@dataclass(frozen=True)
class DsdmParameters:
    """Weights of the terms beside the prototypes, and the history's pace."""

    covariance: Annotated[float, Field(ge=0)] = option(50.0, "weight of the covariances; divided by d")
    history: Annotated[float, Field(ge=0)] = option(0.2, "weight of the historical prototypes; divided by d")
    history_start: Annotated[int, Field(ge=0)] = option(2000, "first step at which the historical prototypes count")
    momentum: Annotated[float, Field(ge=0, lt=1)] = option(0.99, "share of the past in a historical prototype")


class Dsdm(MatchingMethod):
    """Σ_c ‖p_T - p_S‖² + (w_cov/d)·‖Cov_T - Cov_S‖²_F + (w_hist/d)·‖p_S - h_c‖².

    p are means of the d unnormalised features, Cov their d x d covariances over n - 1, and h_c the exponential
    moving average of the class's past synthetic prototypes. No d x d matrix is formed: the Frobenius distance
    follows from inner products of the n real and m synthetic images, n² + m² + nm of them. That is why real
    features are read afresh: a bank would keep d² numbers per class and view (17 MB at d = 2048, 6.7 GB for ten
    classes and 40 views), or every real feature. Without the covariances only means are read, and they are banked.

    A class of a single real or synthetic image has no covariance (n - 1 = 0) and no such term. With both weights
    0 this is dm.
    """

    Parameters = DsdmParameters
    summary = "prototypes, covariances and historical prototypes"
    source = "Li et al., ACM Multimedia 2024, Diversified Semantic Distribution Matching"
    cost = "a real minibatch forward per step and its inner products, n² per class"
    departures = (
        "one step for all classes; the history mixes features of all teachers, as in its code; it counts from step"
        " 2000 of the paper's 10000 on, never in a shorter run unless history_start is lowered"
    )
    parameters: DsdmParameters

    def __init__(self, parameters: DsdmParameters) -> None:
        super().__init__(parameters)
        self._classes = 0
        self._history: Tensor | None = None  # (C, d), as the next
        self._latest: Tensor | None = None

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        distill = {"iterations": 10000, "optimizer": "sgd", "lr": 0.01 * ipc, "schedule": "constant", "factor": 2}
        distill |= {"real": "fresh", "real_batch": 256, "augment": "color_crop_cutout"}
        distill |= {"augment_mode": "compose", "initial": "mix"}
        pretrain = {"teachers": 10, "epochs": 20, "loss": "cross-entropy"}
        return {"distill": distill, "pretrain": pretrain}

    def request(self) -> Request:
        return Request(mean=True, features=self.parameters.covariance > 0)

    def prepare(self, context: Context) -> None:
        self._classes = len(context.counts)

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        p, dim = self.parameters, batch.features.shape[1]
        assert batch.real.mean is not None
        prototypes = batch.class_means(batch.features)  # (c, d)
        terms = {"mean": (prototypes - batch.real.mean).square().sum()}
        if p.covariance > 0:
            terms["covariance"] = p.covariance / dim * self._covariances(batch)
        if p.history > 0:
            self._remember(prototypes.detach(), batch)
            if self._history is not None and step >= p.history_start:
                past = self._history[batch.first : batch.last]  # (c, d)
                terms["history"] = p.history / dim * (prototypes - past).square().sum()
        return terms

    def after_step(self, step: int) -> None:
        """Take the step's prototypes into the history, which begins with the first step's."""
        if self._latest is None:
            return
        if self._history is None:
            self._history = self._latest.clone()
        else:
            self._history.lerp_(self._latest, 1 - self.parameters.momentum)

    def state_dict(self) -> dict[str, Tensor]:
        return {} if self._history is None else {HISTORY: self._history}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._history = state.get(HISTORY)

    def idle_options(self) -> frozenset[str]:
        return frozenset() if self.parameters.history > 0 else frozenset({"history_start", "momentum"})

    def _remember(self, prototypes: Tensor, batch: Batch) -> None:
        if self._latest is None:
            self._latest = prototypes.new_zeros(self._classes, prototypes.shape[1])
        self._latest[batch.first : batch.last] = prototypes

    def _covariances(self, batch: Batch) -> Tensor:
        assert batch.real.features is not None
        pairs = zip(batch.real.features, batch.by_class(batch.features), strict=True)  # (n_c, d) and (per_class, d)
        own = [covariance_distance(real, synthetic) for real, synthetic in pairs]
        return torch.stack(own).sum()


def covariance_distance(real: Tensor, own: Tensor) -> Tensor:
    """‖Cov_T - Cov_S‖²_F of rows (n, d) and (m, d) by inner products: a scalar, 0 without gradient if n or m is 1.

    With centred rows X and Y, ‖XᵀX‖² = ‖XXᵀ‖² and ⟨XᵀX, YᵀY⟩ = ‖XYᵀ‖².
    """
    if min(len(real), len(own)) < 2:
        return (0 * own).sum()
    x = (real - real.mean(0)) / math.sqrt(len(real) - 1)
    y = (own - own.mean(0)) / math.sqrt(len(own) - 1)
    real_norm, own_norm, product = ((a @ b.T).square().sum() for a, b in ((x, x), (y, y), (x, y)))
    return real_norm + own_norm - 2 * product
