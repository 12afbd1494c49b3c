"""LAD: distilling long-tailed datasets by experts of representation and of classifier (CVPR 2025)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from csdm_cli.errors import UsageError
from csdm_cli.methods.bounds import NonNegative, Several, Some
from csdm_cli.methods.contract import Context, option
from csdm_cli.methods.learning import Experts
from csdm_cli.methods.trajectory.base import Stretch
from csdm_cli.methods.trajectory.class_weights import lad_class_weights
from csdm_cli.methods.trajectory.datm import Datm, DatmParameters
from csdm_cli.methods.trajectory.distance import ExpertSegment
from csdm_cli.methods.trajectory.mtt import flat_experts_of_the_paper, pixels_of_the_paper
from csdm_cli.names import ExpertOptimizer
from csdm_cli.teachers.pool import TeacherPool
from csdm_cli.teachers.teaching import is_classifier
from csdm_cli.training.second_order import of_label_logits, soft, weighted


@dataclass(frozen=True)
class LadParameters(DatmParameters):
    """Options of lad."""

    threshold: NonNegative = option(0.0, "a loss beyond it moves nothing (0: no threshold)")
    representation: NonNegative = option(1.0, "λ₁, weight of the loss along the representation experts")
    classifier: NonNegative = option(0.5, "λ₂, weight of the loss along the classifier experts")
    classifier_steps: Several = option(20, "steps of the student whose classifier alone learns")
    classifier_ahead: Several = option(2, "points that the classifier expert went meanwhile, from its start")
    class_weights: Literal["rescaled", "released"] = option(
        "rescaled", "of the representation student's loss: of mean 1, or of sum 1 as the released code has them"
    )
    count_floor: Some = option(0, "f, added to every class's images in these weights")
    matched: Literal["encoder", "all"] = option("encoder", "weights that the representation loss compares")


class Lad(Datm):
    """λ₁·L_rep + λ₂·L_cls of two students.

    L_rep: the loss of the first weighs classes by their real images, so that balanced images move it as the long tail
    moved the expert, and its encoder is compared. L_cls: the second starts where that expert ended, its encoder stays,
    and its classifier is to end where one went that was trained on each class as often as on another.
    """

    Parameters: ClassVar[type[LadParameters]] = LadParameters
    parameters: LadParameters
    experts = Experts(ExpertOptimizer.gsam, classifiers=True)
    summary = "trajectories of encoders on the long tail, and of classifiers on balanced draws"
    source = "Distilling Long-tailed Datasets, CVPR 2025"
    cost = "as mtt, with a second set of experts and a second student"
    departures = (
        Datm.departures + "; class weights have mean 1 where the released code's sum to 1 (--option"
        " class_weights=released); experts without weight decay unless --expert-weight-decay is given; preset paper is"
        " that for CIFAR-10-LT at β = 100 whatever the set's imbalance, where the paper has λ₁/λ₂ of 1/0.2 at β = 10,"
        " 1/0.5 and at IPC 20 0.5/1 at β = 50, 0.1/1 at β = 200"
    )

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """The settings for CIFAR-10-LT at an imbalance of 100: presets know no data, and the weights differ with it."""
        weights = (1.0, 0.5) if ipc > 20 else (0.5, 1.0)
        own: dict[str, Any] = {"representation": weights[0], "classifier": weights[1], "class_weights": "released"}
        own |= {"student_steps": 80, "classifier_steps": 60 if ipc > 20 else 80, "ahead": 2, "student_batch": 500}
        own |= {"latest": 40 if ipc > 20 else 20, "step_size": 0.01, "step_size_lr": 0.1}
        experts = flat_experts_of_the_paper(100, 0.3)
        experts |= {"expert_weight_decay": 0.005, "classifier_snapshots": 10}
        pixels = pixels_of_the_paper(1000 if ipc > 20 else 100, 10_000)
        return {"pretrain": experts, "distill": pixels | {"option": own}}

    def idle_options(self) -> frozenset[str]:
        own, idle = self.parameters, set(super().idle_options())
        if not own.classifier:
            idle |= {"classifier_steps", "classifier_ahead"}
        if not own.representation:
            idle |= {"student_steps", "ahead", "latest", "earliest", "matched", "class_weights", "count_floor"}
        return frozenset(idle)

    def prepare(self, context: Context) -> None:
        super().prepare(context)
        own = self.parameters
        if not own.representation and not own.classifier:
            raise UsageError("--option representation and classifier are both 0: nothing is matched")
        assert context.pool is not None and context.pool.classifiers is not None
        self.classifiers = context.pool.classifiers
        weights = lad_class_weights(context.counts, own.count_floor, released=own.class_weights == "released")
        self.class_weights = weights.to(context.device, context.dtype)

    def require_points(self, points: int, classifier_points: int) -> None:
        own = self.parameters
        if own.representation:
            super().require_points(points, classifier_points)
        if own.classifier and own.classifier_ahead > classifier_points:
            raise UsageError(
                f"classifier experts of {classifier_points} points cannot be matched {own.classifier_ahead} points"
                " ahead of their start: lower --option classifier_ahead, or train them on (csdm pretrain"
                " --classifier-snapshots)"
            )

    @property
    def label_givers(self) -> TeacherPool:
        return self.classifiers

    def stretches(self, step: int) -> list[Stretch]:
        own, found = self.parameters, []
        if own.representation:
            whole = self.segment(step)
            names = None if own.matched == "all" else [name for name in whole.start if not is_classifier(name)]
            segment = ExpertSegment(whole.start, whole.target, names)
            objective = self.objective(of_label_logits(weighted(self.class_weights)))
            found.append(Stretch("trajectory", segment, objective, own.student_steps, own.representation))
        if own.classifier:
            found.append(self._classifier_stretch(step))
        return found

    def _classifier_stretch(self, step: int) -> Stretch:
        """From where the experts ended, along the way of their classifiers."""
        own, expert = self.parameters, self.expert(self.classifiers, step)
        start, target = (self.weights(self.classifiers, expert, point) for point in (0, own.classifier_ahead))
        ends = [{name: value for name, value in end.items() if is_classifier(name)} for end in (start, target)]
        encoder = {name: value for name, value in start.items() if not is_classifier(name)}
        objective = self.objective(of_label_logits(soft), fixed=encoder)
        return Stretch("classifier", ExpertSegment(*ends), objective, own.classifier_steps, own.classifier)
