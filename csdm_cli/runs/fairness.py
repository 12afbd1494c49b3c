"""``csdm evaluate --fairness``: the trainings that the fairness scores need, and their table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from rich.console import RenderableType

from csdm_cli.display.tables import figures_table
from csdm_cli.evaluation.controls import FULL, ControlName, random_images
from csdm_cli.evaluation.fairness_scores import Accuracies, Fairness, Form, fairness, summarise_fairness
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.evaluation.scores import MeanStd, Scores, summarise
from csdm_cli.evaluation.students import Evaluator, evaluate_set
from csdm_cli.images.image_set import ImageSet
from csdm_cli.names import LabelKind
from csdm_cli.runs.evaluating import Case, evaluate_case
from csdm_cli.runs.labels import labels_like_the_sets
from csdm_cli.runs.runtime import Runtime
from csdm_cli.storage import places

READINGS: Mapping[Form, Callable[[Scores], float | None]] = {
    Form.standard: lambda scores: scores.accuracy,
    Form.balanced: lambda scores: scores.balanced,
    Form.tail: lambda scores: scores.tail,
}
TITLES = {
    Form.standard: "all test images (DD-Ranking)",
    Form.balanced: "balanced accuracy",
    Form.tail: "tail classes",
}
COLUMNS = {"hlr": "HLR", "ior": "IOR", "ior_plain": "IOR, no aug.", "lrs": "LRS", "ars": "ARS"}


@dataclass(frozen=True)
class FairnessReport:
    """The scores of one set.

    Attributes:
        weight: w of LRS and ARS.
        control: the full-data control that the long-tail forms compare with.
        scores: by form; a form that these classes do not have is left out.
        extra: the evaluations made for the scores beyond those of the table, by name.
    """

    weight: float
    control: ControlName
    scores: Mapping[Form, Mapping[str, MeanStd]]
    extra: Mapping[str, Evaluation]

    def as_dict(self) -> dict[str, Any]:
        """JSON values, in percent as all of metrics.json."""
        forms = {
            str(form): {name: _percent(summary) for name, summary in scores.items()}
            for form, scores in self.scores.items()
        }
        return forms | {"weight": self.weight, "full_control": str(self.control)}

    def metrics(self) -> dict[str, float]:
        """For tracking: means, in percent as tables print them."""
        return {
            f"fairness/{form}/{name}": round(100 * summary.mean, 4)
            for form, scores in self.scores.items()
            for name, summary in scores.items()
        }

    def table(self) -> list[RenderableType]:
        """One row per form."""
        table = figures_table("fairness", list(COLUMNS.values()))
        for form, scores in self.scores.items():
            table.add_row(TITLES[form], *(str(scores[name]) for name in COLUMNS))
        caption = (
            f"LRS and ARS in % at w = {self.weight:g} (0 gain: 26.9), the others in points. HLR of the first row is"
            f" behind {FULL[0]}; below it behind {self.control}."
        )
        return [table, f"[dim]{caption}[/]"]


@dataclass(frozen=True)
class _Students:
    """The evaluations that the scores compare."""

    real: Evaluation
    best: Evaluation
    distilled_hard: Evaluation
    distilled: Evaluation
    random: Evaluation
    distilled_plain: Evaluation
    random_plain: Evaluation

    def scores(self, form: Form, weight: float) -> dict[str, MeanStd] | None:
        """The scores of every student number; None where one of the accuracies does not exist."""
        real = self.real if form is Form.standard else self.best
        rows = (real, self.distilled_hard, self.distilled, self.random, self.distilled_plain, self.random_plain)
        found: list[Fairness] = []
        for students in zip(*(row.scores for row in rows), strict=True):
            read = [READINGS[form](scores) for scores in students]
            known = [value for value in read if value is not None]
            if len(known) < len(read):
                return None
            found.append(fairness(Accuracies(*known), weight))
        return summarise_fairness(found)


def measure_fairness(
    case: Case,
    labels: LabelKind,
    own: Evaluation,
    controls: Mapping[ControlName, Evaluation],
    train: ImageSet,
    evaluator: Evaluator,
    weight: float,
    runtime: Runtime,
) -> FairnessReport:
    """Train what is missing: the set under hard labels, random images under its labels, and both unaugmented.

    Args:
        case: the set and its long-tailed set.
        labels: kind of targets that students of the set learn from.
        own: its students.
        controls: all of them, under the same protocol.
        train: the long-tailed training set, on the device.
        evaluator: how all were evaluated.
        weight: w of LRS and ARS.
        runtime: runtime of the command.

    Raises:
        CsdmError: if the labels are soft and their teachers cannot be made again.
    """
    extra: dict[str, Evaluation] = {}
    method, hard = case.distilled.provenance.method, own
    if labels is LabelKind.soft:
        hard = extra[f"{method} (hard labels)"] = evaluate_case(case, LabelKind.hard, evaluator)
    recipe = replace(evaluator.protocol.recipe, augment="none", cutmix=0.0)
    plainly = replace(evaluator, protocol=replace(evaluator.protocol, recipe=recipe))
    extra[f"{method} ({labels} labels), no augmentation"] = plain = evaluate_case(case, labels, plainly)
    images, targets = _random_set(case, labels, train, evaluator.device, runtime)

    def random_under(evaluator: Evaluator, name: str) -> Evaluation:
        return evaluate_set(images, targets, train.counts, evaluator, title=f"{name}, student")

    random = controls[ControlName.random]
    if labels is LabelKind.soft:
        name = "random (soft labels)"
        random = extra[name] = random_under(evaluator, name)
    name = f"random ({labels} labels), no augmentation"
    random_plain = extra[name] = random_under(plainly, name)
    control = best_balanced(controls)
    real = controls[ControlName.full_cross_entropy]
    students = _Students(real, controls[control], hard, own, random, plain, random_plain)
    scores = {form: found for form in Form if (found := students.scores(form, weight)) is not None}
    return FairnessReport(weight, control, scores, extra)


def best_balanced(controls: Mapping[ControlName, Evaluation]) -> ControlName:
    """The full-data control of the highest mean balanced accuracy."""

    def mean(name: ControlName) -> float:
        summary = summarise(scores.balanced for scores in controls[name].scores)
        assert summary is not None
        return summary.mean

    return max((name for name in FULL if name in controls), key=mean)


def _random_set(
    case: Case, labels: LabelKind, train: ImageSet, device: torch.device | str, runtime: Runtime
) -> tuple[torch.Tensor, torch.Tensor]:
    """As many random real images as the set stores, and labels of the set's own kind."""
    images = random_images(train, case.selection)
    if labels is LabelKind.soft:
        return images, labels_like_the_sets(
            images, case.distilled, case.longtail, train, places.cache_dir(), torch.device(device), quiet=runtime.quiet
        )
    return images, case.selection.labels(train.classes)


def _percent(summary: MeanStd) -> dict[str, Any]:
    values = asdict(summary)
    return {
        "mean": round(100 * values["mean"], 4),
        "std": None if values["std"] is None else round(100 * values["std"], 4),
        "students": values["count"],
    }
