"""DM: distribution matching (Zhao and Bilen, WACV 2023), on the engine's teachers and augmentation."""

from __future__ import annotations

from torch import Tensor

from csdm_cli.methods.contract import Batch, NoParameters, OptimisedMethod, Request


class Dm(OptimisedMethod):
    """Σ_c ‖mean f(real_c) − mean f(synthetic_c)‖² of unnormalised features (equation 4 of the paper).

    The paper looks through a new random network every step; here, as for every method of a comparison,
    the networks are the teachers.
    """

    Parameters = NoParameters
    summary = "matching of class means"
    source = "Zhao and Bilen, WACV 2023, arXiv 2110.04181"
    cost = "one forward and backward of the synthetic images per step (bank)"

    def request(self) -> Request:
        return Request(mean=True)

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        assert batch.real.mean is not None
        return {"mean": (batch.class_means(batch.features) - batch.real.mean).square().sum()}
