"""A distilled set under linear probes of several frozen backbones, each beside its own controls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csdm_cli.errors import UsageError
from csdm_cli.evaluation.controls import ControlName
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.names import EvaluationProtocol, LabelKind
from csdm_cli.runs.evaluate import EvaluatedSet, EvaluationTask, evaluate, prepare_evaluation
from csdm_cli.runs.evaluating import Case, metrics_of
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.tracked import scores_of, tell_of_headline
from csdm_cli.settings import sections
from csdm_cli.tracking.tracker import NullTracker, Tracker

OF_NETWORKS = ("networks", "steps", "augment_mode")
OF_BACKBONES = ("inherit", "probe_epochs")


@dataclass(frozen=True)
class CrossBackbonesTask:
    """An evaluation on several backbones before it is done, with nothing left open.

    Attributes:
        on: the evaluation on each, by the name of the folder that it is in.
    """

    on: Mapping[str, EvaluationTask]

    @property
    def case(self) -> Case:
        """The set and its data."""
        return self._first.case

    @property
    def labels(self) -> LabelKind:
        """The targets that probes learn from."""
        return self._first.labels

    @property
    def recipe(self) -> sections.Evaluate:
        """How probes are trained."""
        return self._first.settings

    @property
    def controls(self) -> bool:
        """Whether probes of real images are evaluated beside those of the set."""
        return self.recipe.controls

    @property
    def names(self) -> tuple[str, ...]:
        """The backbones, in the order asked for."""
        return tuple(self.on)

    @property
    def duration(self) -> str:
        """How long probes are trained."""
        return f"linear probes of {self.recipe.probe_epochs:,} epochs"

    @property
    def protocols(self) -> dict[str, Any]:
        """The probes' protocol on each backbone, as JSON values."""
        return {name: task.described for name, task in self.on.items()}

    @property
    def _first(self) -> EvaluationTask:
        return next(iter(self.on.values()))


@dataclass(frozen=True)
class OnBackbone:
    """The probes' results on one backbone."""

    found: EvaluatedSet

    def metrics(self) -> dict[str, Any]:
        """Those of evaluate, with the random images where those of other architectures are."""
        random = self.found.controls.get(ControlName.random)
        return self.found.metrics() | ({"random": metrics_of(random)} if random else {})

    def rows(self) -> dict[str, Evaluation]:
        """As in the table of evaluate."""
        return self.found.rows()


def prepare_cross_backbones(
    settings: sections.CrossArch,
    recipe: sections.Evaluate,
    runtime: Runtime,
    *,
    backbones: Sequence[Path],
    chosen: frozenset[str],
    file: Path | None,
    data: Path | None,
) -> CrossBackbonesTask:
    """Find the set and the backbones, and settle everything that its evaluation depends on.

    Args:
        settings: students, seed and controls; and what is of backbones alone.
        recipe: the settings of ``csdm evaluate``.
        runtime: device and threads.
        backbones: folders that pretrain wrote.
        chosen: the fields of ``recipe`` that the user set; the set's own recipe fills in the others.
        file: the set; None is the newest below ``artifacts/``.
        data: the long-tailed set; None is the one it was distilled from.

    Raises:
        UsageError: if two folders have the same name, which is the backbones' in the table.
        CsdmError: if something cannot be read, or does not belong together.
    """
    names = [folder.resolve().name for folder in backbones]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"--backbone: two folders are called {twice[0]!r}, which is how the table names them")
    own: dict[str, Any] = {"protocol": EvaluationProtocol.probe, "network": None, "fairness": False}
    own |= {name: getattr(settings, name) for name in ("students", "seed", "controls", "inherit")}
    own |= {"probe_epochs": settings.probe_epochs or recipe.probe_epochs, "split": settings.split or recipe.split}
    probing = recipe.model_copy(update=own)
    tasks = [
        prepare_evaluation(probing, runtime, chosen=chosen | own.keys(), file=file, data=data, teachers=folder)
        for folder in backbones
    ]
    return CrossBackbonesTask(dict(zip(names, tasks, strict=True)))


def cross_backbones(
    task: CrossBackbonesTask, runtime: Runtime, tracker: Tracker | None = None
) -> Iterator[tuple[str, OnBackbone]]:
    """The results on one backbone after another, each as soon as it is there."""
    tracker = tracker or NullTracker()
    for name, own in task.on.items():
        found = evaluate(own, runtime)
        scores = {f"{score}/{name}": value for score, value in scores_of(found.own).items()}
        tell_of_headline(tracker, scores, task.case.distilled, task.recipe.split)
        beside = {f"control/{str(control).replace(',', '')}/{name}": one for control, one in found.controls.items()}
        tracker.metrics({where: scores_of(one)["accuracy"] for where, one in beside.items()})
        yield name, OnBackbone(found)
