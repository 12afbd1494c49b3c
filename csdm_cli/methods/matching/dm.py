"""DM: distribution matching (Zhao and Bilen, WACV 2023), on the engine's teachers and augmentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from csdm_cli.methods.contract import MatchingMethod, NoParameters
from csdm_cli.methods.statistics import Batch, Request


class Dm(MatchingMethod):
    """Σ_c ‖mean f(real_c) − mean f(synthetic_c)‖² of unnormalised features (equation 4 of the paper).

    The paper looks through a new random network every step; here, as for every method of a comparison,
    the networks are the teachers.
    """

    Parameters = NoParameters
    summary = "matching of class means"
    source = "Zhao and Bilen, WACV 2023, arXiv 2110.04181"
    cost = "one forward and backward of the synthetic images per step (bank)"
    departures = (
        "looks through the trained teachers instead of a new random network every step; one step for all classes;"
        " pixels are clamped to [0, 1]"
    )

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """Its learning rate, for SGD on pixels divided by σ, is σ² times as large on pixels in [0, 1]: 0.04 for 1."""
        distill = {"iterations": 20_000, "optimizer": "sgd", "lr": 0.04 if ipc < 100 else 0.4, "schedule": "constant"}
        return {"distill": distill | {"initial": "real", "factor": 1, "real": "fresh", "real_batch": 256}}

    def request(self) -> Request:
        return Request(mean=True)

    @property
    def replayable(self) -> bool:
        return True

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        return {"mean": batch.distance_of_means()}  # of (c, D) means: a scalar
