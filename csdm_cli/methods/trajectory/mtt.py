"""MTT: matching training trajectories (Cazenavette et al., CVPR 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from csdm_cli.methods.learning import Experts, Scene
from csdm_cli.methods.trajectory.base import Stretch, TrajectoryMethod, TrajectoryParameters
from csdm_cli.methods.trajectory.distance import ExpertSegment
from csdm_cli.names import ExpertOptimizer
from csdm_cli.training.second_order import hard

# SGD's rates for pixels divided by σ, times σ² for pixels in [0, 1], with the field's σ of 0.2.
PIXELS = 0.04


@dataclass(frozen=True)
class MttParameters(TrajectoryParameters):
    """Options of mtt."""


class Mtt(TrajectoryMethod):
    """A student on the synthetic images is to end, N steps after an expert's point t, where that was at t + M."""

    Parameters: ClassVar[type[MttParameters]] = MttParameters
    parameters: MttParameters
    experts = Experts(ExpertOptimizer.sgd)
    summary = "a student trained on the images ends where an expert went"
    source = "Cazenavette et al., CVPR 2022, arXiv 2203.11932"
    cost = (
        "experts once (csdm pretrain --experts); per step student_steps steps of the student, and a second derivative"
        " of each"
    )
    departures = (
        "no ZCA whitening; pixels are clamped to [0, 1]; the logarithm of the step size is learned, so that it stays"
        " positive; points of experts are counted in optimiser steps; the last step's images are stored"
    )

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """The settings for CIFAR-10 without ZCA, as later papers have them."""
        steps, latest = (50, 5) if ipc == 1 else (40, 15) if ipc <= 10 else (30, 40)
        own: dict[str, float] = {
            "student_steps": steps,
            "ahead": 2,
            "latest": latest,
            "student_batch": 0 if ipc == 1 else 256,
        }
        # their rate of the step size, 1e-7 at one image and else 1e-5, is here one of its logarithm
        step_size, rate = (0.01, 0.001) if ipc == 1 else (0.01, 0.1) if ipc <= 10 else (0.001, 10.0)
        own |= {"step_size": step_size, "step_size_lr": rate}
        return {"pretrain": experts_of_the_paper(50), "distill": pixels_of_the_paper(1000, 5000) | {"option": own}}

    def stretches(self, step: int) -> list[Stretch]:
        return [Stretch("trajectory", self.segment(step), self.objective(hard), self.parameters.student_steps)]

    def segment(self, step: int) -> ExpertSegment:
        """The part of an expert's way that is matched at a step."""
        expert, start = self.expert(self.experts_pool, step), self.start_of(step)
        ends = (self.weights(self.experts_pool, expert, point) for point in (start, start + self.parameters.ahead))
        return ExpertSegment(*ends)

    def targets(self, scene: Scene) -> Tensor:
        return scene.labels


def experts_of_the_paper(epochs: int) -> dict[str, Any]:
    """A hundred experts of so many epochs, of 196 steps as on balanced CIFAR-10."""
    return {"experts": 100, "expert_snapshots": epochs, "snapshot_every": 196}


def flat_experts_of_the_paper(epochs: int, ascent: float) -> dict[str, Any]:
    """The same, trained by GSAM towards flat minima."""
    return experts_of_the_paper(epochs) | {"expert_optimizer": "gsam", "rho": 0.01, "ascent": ascent}


def pixels_of_the_paper(lr: float, iterations: int) -> dict[str, Any]:
    """How the pixels move, at the paper's rate ``lr`` of normalised pixels."""
    still = {"optimizer": "sgd", "schedule": "constant", "factor": 1, "initial": "real"}
    return still | {"lr": PIXELS * lr, "iterations": iterations}
