"""A distilled set under students of several architectures, beside random real images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from csdm_cli.evaluation.controls import ControlName, evaluate_selections
from csdm_cli.evaluation.protocol import Protocol
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.names import EvaluationSplit, LabelKind
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.networks.numerics import Numerics
from csdm_cli.runs.evaluating import Case, evaluate_case, evaluator_for, metrics_of, open_case
from csdm_cli.runs.labels import labeller_for, measured_on, refuse_images_of_choice
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.student_protocol import described_protocol, protocol_of, with_common_rate, with_recipe_of
from csdm_cli.runs.tracked import scores_of, tell_of_headline, tell_of_set
from csdm_cli.settings import sections
from csdm_cli.tracking.tracker import NullTracker, Tracker
from csdm_cli.training.labeller import Labeller


@dataclass(frozen=True)
class CrossArchTask:
    """An evaluation on several architectures before it is done, with nothing left open.

    Attributes:
        recipe: the students', with the set's own where the user left one open.
        labels: the targets that students learn from.
        specs: the architectures by name, in the order asked for.
        controls: whether random real images are evaluated beside the set.
        labeller: gives the labels ``teacher``; None where they are stored.
    """

    case: Case
    recipe: sections.Evaluate
    labels: LabelKind
    specs: Mapping[str, NetworkSpec]
    protocol: Protocol
    controls: bool
    device: torch.device
    numerics: Numerics
    labeller: Labeller | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The architectures, in the order asked for."""
        return tuple(self.specs)

    @property
    def duration(self) -> str:
        """How long students are trained."""
        return f"{self.protocol.steps} steps"

    @property
    def protocols(self) -> dict[str, Any]:
        """The students' protocol on each architecture, as JSON values."""
        return {name: described_protocol(self.protocol, spec, self.numerics) for name, spec in self.specs.items()}


@dataclass(frozen=True)
class OnArchitecture:
    """The students' results on one architecture.

    Attributes:
        method: the method that made the set.
        split: the images that students were tested on.
        own: students of the set.
        random: students of as many random real images; None where controls were not asked for.
        untested: names of the classes without test images, which no score speaks of.
    """

    method: str
    split: EvaluationSplit
    own: Evaluation
    random: Evaluation | None = None
    untested: tuple[str, ...] = ()

    def metrics(self) -> dict[str, Any]:
        """Scores in percent, for JSON."""
        found = metrics_of(self.own) | {"split": str(self.split)}
        untested = {"untested": list(self.untested)} if self.untested else {}
        return found | untested | ({"random": metrics_of(self.random)} if self.random else {})

    def rows(self) -> dict[str, Evaluation]:
        """By name: the set, and below it the random images."""
        return {self.method: self.own} | ({"random": self.random} if self.random else {})


def prepare_cross_arch(
    settings: sections.CrossArch,
    recipe: sections.Evaluate,
    runtime: Runtime,
    *,
    chosen: frozenset[str],
    file: Path | None,
    data: Path | None,
) -> CrossArchTask:
    """Find the set, and settle everything that its evaluation depends on.

    Args:
        settings: the architectures, and how long students learn.
        recipe: the recipe of ``csdm evaluate``.
        runtime: device, threads, precision.
        chosen: the fields of ``recipe`` that the user set; the set's own recipe fills in the others.
        file: the set; None is the newest below ``artifacts/``.
        data: the long-tailed set; None is the one it was distilled from.

    Raises:
        UsageError: if an architecture is unknown, or does not fit the images, or the labels cannot be evaluated on this
            split.
        CsdmError: if the set or its data cannot be read, or do not belong together.
    """
    device = runtime.apply()
    numerics = runtime.student_numerics(device)
    case = open_case(file, data, quiet=runtime.quiet)
    recipe = with_common_rate(with_recipe_of(recipe, case.distilled, chosen))
    own = {name: getattr(settings, name) for name in ("augment_mode", "split") if getattr(settings, name)}
    recipe = recipe.model_copy(update=own)
    labels = recipe.labels or case.distilled.default_labels
    refuse_images_of_choice(labels, measured_on(case.distilled), recipe.split)
    protocol = replace(
        protocol_of(recipe), steps=settings.steps, students=settings.students, seed=settings.seed, test_points=1
    )
    specs = {name: case.spec(name) for name in settings.networks}
    for spec in specs.values():
        build(spec, seed=0)  # a network that these images do not fit is an error now, not in an hour
    labeller = labeller_for(labels, case.distilled, case.longtail, None, device, numerics, quiet=runtime.quiet)
    return CrossArchTask(case, recipe, labels, specs, protocol, settings.controls, device, numerics, labeller)


def cross_arch(
    task: CrossArchTask, runtime: Runtime, tracker: Tracker | None = None
) -> Iterator[tuple[str, OnArchitecture]]:
    """The results on one architecture after another, each as soon as it is there."""
    tracker = tracker or NullTracker()
    case, split = task.case, task.recipe.split
    tell_of_set(tracker, case.distilled, case.longtail, split)
    test = case.images_of(split).to(task.device)
    train = case.longtail.train().to(task.device) if task.controls else None
    for name, spec in task.specs.items():
        evaluator = evaluator_for(test, spec, task.protocol, task.numerics, runtime)
        own, random = evaluate_case(case, task.labels, evaluator, task.labeller), None
        found = {f"{score}/{name}": value for score, value in scores_of(own).items()}
        tell_of_headline(tracker, found, case.distilled, split)
        if train is not None:
            as_stored = replace(case.selection, factor=1)
            random = evaluate_selections(train, as_stored, evaluator)[ControlName.random]
            tracker.metric(f"control/random/{name}", scores_of(random)["accuracy"])
        untested = case.longtail.manifest.untested(split)
        yield name, OnArchitecture(case.distilled.provenance.method, split, own, random, untested)
