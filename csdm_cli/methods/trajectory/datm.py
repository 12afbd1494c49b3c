"""DATM: trajectory matching aligned in difficulty, with learned labels (Guo et al., ICLR 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods.bounds import Momentum, NonNegative, Some
from csdm_cli.methods.contract import option
from csdm_cli.methods.learning import LABEL_LOGITS, Experts, Learned, Scene
from csdm_cli.methods.trajectory.base import Stretch
from csdm_cli.methods.trajectory.label_start import known_images, start_logits
from csdm_cli.methods.trajectory.mtt import Mtt, MttParameters, flat_experts_of_the_paper, pixels_of_the_paper
from csdm_cli.methods.trajectory.window import Window
from csdm_cli.names import ExpertOptimizer, StoredLabels
from csdm_cli.teachers.pool import TeacherPool
from csdm_cli.training.inference import predict
from csdm_cli.training.second_order import of_label_logits, soft


@dataclass(frozen=True)
class DatmParameters(MttParameters):
    """Options of datm."""

    earliest: Some = option(0, "the student starts from this point of the expert or a later one")
    latest_at_first: Some = option(0, "T⁺ at the first step, from where it grows to latest (0: latest, no growth)")
    grown_after: Some = option(0, "steps that T⁺ grows over")
    label_lr: NonNegative = option(2.0, "learning rate of the labels' logits")
    label_momentum: Momentum = option(0.9, "its momentum")
    start: Literal["correct", "any"] = option(
        "correct", "real images that experts classify correctly, with their mean logits; or any, with one expert's"
    )
    threshold: NonNegative = option(
        1.0, "a step with a larger loss moves nothing: a student that stands still loses 1 (0: no threshold)"
    )


class Datm(Mtt):
    """MTT on part of the experts' way: early points teach easy patterns, late ones hard ones. Labels are learned."""

    Parameters: ClassVar[type[DatmParameters]] = DatmParameters
    parameters: DatmParameters
    experts = Experts(ExpertOptimizer.gsam)
    default_labels = StoredLabels.soft
    summary = "mtt on a chosen part of the experts' way, with learned labels"
    source = "Guo et al., ICLR 2024, arXiv 2310.05773"
    departures = Mtt.departures + "; where no expert is right of an image its label starts at the mean of all"

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """The settings for CIFAR-10."""
        own: dict[str, Any] = {"student_steps": 80, "ahead": 2, "step_size": 0.01, "step_size_lr": 0.1}
        if ipc == 1:
            own |= {"latest": 4, "student_batch": 10, "label_lr": 5.0, "step_size_lr": 0.001, "threshold": 1.1}
        elif ipc <= 10:
            own |= {"latest_at_first": 10, "latest": 20, "grown_after": 1000, "student_batch": 100}
        else:
            own |= {"latest_at_first": 20, "latest": 40, "grown_after": 2000, "student_batch": 500}
        experts = flat_experts_of_the_paper(100, 0.3)
        pixels = pixels_of_the_paper(1000 if ipc > 10 else 100, 10_000)
        return {"pretrain": experts, "distill": pixels | {"option": own}}

    @property
    def threshold(self) -> float | None:  # type: ignore[override]
        return self.parameters.threshold or None

    @property
    def window(self) -> Window:
        own = self.parameters
        if not own.latest_at_first:
            return Window.fixed(own.earliest, own.latest)
        return Window(own.earliest, own.latest_at_first, own.latest, own.grown_after)

    def idle_options(self) -> frozenset[str]:
        own = self.parameters
        idle = {"labels", "temperature", "prior_calibration"}  # its labels are learned
        idle |= set() if own.latest_at_first else {"grown_after"}
        return frozenset(idle | (set() if own.label_lr else {"label_momentum"}))

    @property
    def label_givers(self) -> TeacherPool:
        """The experts by whose last weights labels start."""
        return self.experts_pool

    def starts_from(self, data: ImageSet) -> ImageSet:
        if self.parameters.start == "any":
            return data
        pool = self.label_givers
        return known_images(data, self.context.per_class, len(pool), lambda expert: self._logits(expert, data.images))

    def learned(self, images: Tensor) -> dict[str, Learned]:
        own, pool = self.parameters, self.label_givers
        labels = Scene(images, self.context.per_class).labels
        of_one = own.start == "any"
        logits = start_logits(labels, len(pool), lambda expert: self._logits(expert, images), of_one=of_one)
        return {LABEL_LOGITS: Learned(logits, own.label_lr, own.label_momentum)} | super().learned(images)

    def stretches(self, step: int) -> list[Stretch]:
        objective = self.objective(of_label_logits(soft))
        return [Stretch("trajectory", self.segment(step), objective, self.parameters.student_steps)]

    def targets(self, scene: Scene) -> Tensor:
        return scene.learned[LABEL_LOGITS]

    def _logits(self, expert: int, images: Tensor) -> Tensor:
        network = self.label_givers.network(expert).to(device=self.context.device, dtype=self.context.dtype)
        return predict(network, images, self.data.mean, self.data.std)
