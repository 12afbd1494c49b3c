"""FTD: MTT on experts that end in flat minima (Du et al., CVPR 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from csdm_cli.methods.learning import Experts
from csdm_cli.methods.trajectory.mtt import Mtt, flat_experts_of_the_paper, pixels_of_the_paper
from csdm_cli.names import ExpertOptimizer


class Ftd(Mtt):
    """MTT's loss; what differs are the experts, trained by GSAM, whose way a student's errors lead less far from."""

    experts = Experts(ExpertOptimizer.gsam)
    summary = "mtt on experts that are trained towards flat minima"
    source = "Du et al., CVPR 2023, arXiv 2211.11004"

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """The settings for CIFAR-10 at 10 images per class; others' windows are left open."""
        own = {"student_steps": 30, "ahead": 2, "latest": 20, "step_size": 0.001, "step_size_lr": 10.0}
        experts = flat_experts_of_the_paper(50, 1.0)
        return {"pretrain": experts, "distill": pixels_of_the_paper(100, 5000) | {"average": 0.999, "option": own}}
