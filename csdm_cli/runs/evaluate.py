"""Students trained on a distilled set alone, beside the protocol's controls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from csdm_cli.artifacts.accounting import Storage, storage_of
from csdm_cli.artifacts.distilled import Coded, Distilled
from csdm_cli.errors import UsageError
from csdm_cli.evaluation.controls import (
    ControlName,
    best_full,
    evaluate_centroid,
    evaluate_full,
    evaluate_selections,
    under_labels,
)
from csdm_cli.evaluation.inheritance import Inheritance, evaluate_inheritance, random_rows
from csdm_cli.evaluation.probes import Probed
from csdm_cli.evaluation.protocol import Protocol
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.evaluation.scores import share_of_gap_closed
from csdm_cli.images.image_set import ImageSet
from csdm_cli.names import AT_LEARNED_RATE, LEARNED, EvaluationSplit, LabelKind
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.runs.evaluating import Case, Foreign, evaluate_case, evaluator_for, metrics_of, open_case
from csdm_cli.runs.fairness import FairnessReport, measure_fairness
from csdm_cli.runs.labels import (
    labeller_for,
    measured_on,
    refuse_images_of_choice,
    refuse_unknown_teachers,
)
from csdm_cli.runs.measurement import Measurement
from csdm_cli.runs.probes import backbone_of, giver_of, is_probe, probed, protocol_of_probes, refuse_idle
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.student_protocol import (
    described_protocol,
    learned_protocol,
    protocol_of,
    with_common_rate,
    with_recipe_of,
)
from csdm_cli.runs.tracked import scores_of, tell_of_learned_rate, tell_of_scores, tell_of_set
from csdm_cli.settings import sections
from csdm_cli.teachers.pool import TeacherPool
from csdm_cli.tracking.tracker import NullTracker, Tracker
from csdm_cli.training.labeller import Labeller


@dataclass(frozen=True)
class EvaluationTask:
    """An evaluation before it is done, with nothing left open.

    Attributes:
        settings: with the set's own recipe where the user left one open.
        labels: targets that students learn from.
        spec: their architecture.
        numerics: how they compute.
        learned: the protocol of students at the set's learned step size, where they were asked for.
        probed: the frozen network whose linear probes they are; None for networks trained from scratch.
        inheritance: whose classifier that network is to use as well; None if it is not asked for.
        labeller: gives the labels ``teacher``; None where they are stored.
    """

    case: Case
    settings: sections.Evaluate
    labels: LabelKind
    spec: NetworkSpec
    protocol: Protocol
    device: torch.device
    numerics: Numerics
    learned: Protocol | None = None
    probed: Probed | None = None
    inheritance: Inheritance | None = None
    labeller: Labeller | None = None

    @property
    def described(self) -> dict[str, Any]:
        """The facts that all rows of the table share, as JSON values."""
        told = described_protocol(self.protocol, self.spec, self.numerics)
        if self.probed:
            own = {"network": self.probed.key, "features": str(self.probed.kind), "backbone": dict(self.probed.made)}
            told |= {"probed": own, "probe_epochs": self.settings.probe_epochs}
        return told


@dataclass(frozen=True)
class EvaluatedSet:
    """The students' scores on a distilled set.

    Attributes:
        own: those of the set.
        controls: those of the controls; none where they were not asked for.
        fairness: None where it was not asked for.
        learned: students at the set's learned step size; None where they were not asked for.
        inherited: scores of an inherited classifier, by row; none where they were not asked for.
        alike: controls under the labels of the same teachers; none where labels are stored.
    """

    task: EvaluationTask = field(repr=False)
    own: Evaluation
    controls: Mapping[ControlName, Evaluation] = field(default_factory=dict)
    fairness: FairnessReport | None = None
    learned: Evaluation | None = None
    inherited: Mapping[str, Evaluation] = field(default_factory=dict)
    alike: Mapping[ControlName, Evaluation] = field(default_factory=dict)

    @property
    def distilled(self) -> Distilled:
        """The set."""
        return self.task.case.distilled

    @property
    def accuracy(self) -> float:
        """Mean test accuracy of the students after their last step, as a fraction."""
        return self.own.accuracy.mean

    @property
    def storage(self) -> Storage:
        """All that students need: the set, and the teachers where these label."""
        return storage_of(self.distilled, self.task.labeller.stored if self.task.labeller else ())

    @property
    def untested(self) -> tuple[str, ...]:
        """Names of the classes without test images, which no score speaks of."""
        return self.task.case.longtail.manifest.untested(self.task.settings.split)

    @property
    def best_full_control(self) -> ControlName | None:
        """The best of the controls on all real images; None without controls."""
        return best_full(self.controls) if self.controls else None

    @property
    def share_of_gap_closed(self) -> float | None:
        """(set - random) / (best full-data control - random); None without controls, or where there is no gap.

        None under labels by teachers too: they raise random images as well, which are no longer where the gap begins.
        """
        if self.best_full_control is None or self.task.labels is LabelKind.teacher:
            return None
        random, best = self.controls[ControlName.random], self.controls[self.best_full_control]
        return share_of_gap_closed(self.accuracy, random.accuracy.mean, best.accuracy.mean)

    def rows(self) -> dict[str, Evaluation]:
        """By name, in the order of the table: the set's students first."""
        labels, method = self.task.labels, self.distilled.provenance.method
        alike = {control: self.alike[control] for control in ControlName if control in self.alike}
        beside = {under_labels(control, labels, beside=method): found for control, found in alike.items()}
        beside |= {str(control): self.controls[control] for control in ControlName if control in self.controls}
        coded = f", {self.distilled.kind}" if isinstance(self.distilled.decoding, Coded) else ""
        name = f"{method}{coded} ({labels} labels"
        learned = {f"{name}, {self._learned_text})": self.learned} if self.learned is not None else {}
        return {f"{name})": self.own} | learned | beside | dict(self.inherited)

    @property
    def _learned_text(self) -> str:
        return f"{AT_LEARNED_RATE} {self.distilled.learned_rate:.3g}"

    def metrics(self) -> dict[str, Any]:
        """JSON values in percent: the set's scores at the top, the controls' below, and the share of the gap."""
        found = metrics_of(self.own)
        if self.controls:
            found["controls"] = {str(name): metrics_of(evaluation) for name, evaluation in self.controls.items()}
            found["best_full_control"] = str(self.best_full_control)
            found["share_of_gap_closed"] = self.share_of_gap_closed
        if self.alike:
            found["controls_under_teacher_labels"] = {str(name): metrics_of(one) for name, one in self.alike.items()}
        if self.task.inheritance:
            rows = {name: metrics_of(evaluation) for name, evaluation in self.inherited.items()}
            found["inheritance"] = {"rows": rows, "stored": self.task.inheritance.stored_bytes}
        found |= {"method": self.distilled.provenance.method, "labels": str(self.task.labels)}
        found["split"] = str(self.task.settings.split)
        found["storage"] = asdict(self.storage) | {"parameterization": self.distilled.kind}
        if self.task.labeller:
            found["labelled_by"] = dict(self.task.labeller.made)
        if self.learned is not None:
            found["learned_rate"] = metrics_of(self.learned) | {"lr": self.distilled.learned_rate}
        if self.untested:
            found["untested"] = list(self.untested)
        return found | ({"fairness": self.fairness.as_dict()} if self.fairness is not None else {})

    def details(self) -> dict[str, Any]:
        """All that is known of every student, and of what set and data, as JSON values."""
        own, beside = self.rows(), self.fairness.extra if self.fairness is not None else {}
        measured = Measurement.of_case(
            self.task.case,
            self.own,
            subject=next(iter(own)),
            labels=self.task.labels,
            split=self.task.settings.split,
            protocol=self.task.described,
            labeller=self.task.labeller,
        )
        return {
            "protocol": measured.protocol,
            "class_names": self.distilled.dataset.class_names,
            "rows": {name: evaluation.as_dict() for name, evaluation in (own | dict(beside)).items()},
            "measured": measured.told(),
            **({"learned_protocol": asdict(self.task.learned)} if self.task.learned else {}),
            **self._heritage(),
        }

    def _heritage(self) -> dict[str, Any]:
        """Whose classifier was inherited, in which rows, and what it takes to store, as JSON values."""
        inheritance = self.task.inheritance
        if inheritance is None:
            return {}
        numbers = random_rows(self.task.case.selection.ipc, max(self.task.case.longtail.manifest.counts))
        rows = {name: numbers.get(name) for name in self.inherited}  # None: the set's own images
        return {"inheritance": {"giver": dict(inheritance.giver.made), "rows": rows} | inheritance.stored_bytes}


def prepare_evaluation(
    settings: sections.Evaluate,
    runtime: Runtime,
    *,
    chosen: frozenset[str],
    file: Path | None,
    data: Path | None,
    foreign: Foreign | None = None,
    given: frozenset[str] = frozenset(),
    teachers: Path | TeacherPool | None = None,
    pretrain: sections.Pretrain | None = None,
) -> EvaluationTask:
    """Find the set and its long-tailed set, and decide how it is evaluated.

    ``chosen`` are the fields of ``settings`` that the user set; the set's own recipe fills in the others. ``given`` are
    those on the command line. Linear probes are of the first network of ``teachers``, or of the set's own; where
    ``settings`` name another, ``pretrain`` says what else it is. Labels ``teacher`` are by ``teachers``, or the set's.

    Raises:
        UsageError: if an option has no effect, the labels cannot be evaluated on this split, or the network cannot take
            these images.
        CsdmError: if something is missing or damaged.
    """
    device = runtime.apply()
    numerics = runtime.student_numerics(device)
    case = open_case(file, data, foreign, quiet=runtime.quiet)
    at_learned_rate = settings.lr == LEARNED
    if at_learned_rate:  # in a row of its own: all others follow the set's recipe
        settings, chosen = with_common_rate(settings), chosen - {"lr"}
    settings = with_recipe_of(settings, case.distilled, chosen)
    labels = settings.labels or case.distilled.default_labels
    refuse_images_of_choice(labels, measured_on(case.distilled), settings.split)
    probe = is_probe(settings, case)
    refuse_idle(settings, given, probe=probe, runtime=runtime)
    if probe:
        if at_learned_rate:
            raise UsageError(f"--lr {LEARNED} is a step size of students trained from scratch, not of linear probes")
        pool = backbone_of(case, settings, teachers, pretrain or sections.Pretrain(), device, runtime)
        protocol = protocol_of_probes(settings, len(case.distilled.decoded()), sum(case.longtail.manifest.counts))
        network = probed(pool, settings, device)
        inheritance = Inheritance(giver_of(case, settings, device, runtime), network) if settings.inherit else None
        return EvaluationTask(
            *(case, settings, labels, pool.spec, protocol, device, PLAIN), probed=network, inheritance=inheritance
        )
    if labels is not LabelKind.teacher and teachers is not None:
        raise UsageError(
            "--teachers names a backbone for --protocol probe, or who gives --labels teacher: no effect here"
        )
    if settings.fairness and labels is LabelKind.teacher:
        raise UsageError("--fairness compares stored labels: give it --labels hard or soft")
    if settings.fairness and labels is LabelKind.soft:
        refuse_unknown_teachers(case.distilled)
    spec = case.spec(settings.network)
    build(spec, seed=0)  # a network that these images do not fit is an error before anything is done
    protocol = protocol_of(settings)
    learned = learned_protocol(protocol, case.distilled) if at_learned_rate else None
    labeller = labeller_for(labels, case.distilled, case.longtail, teachers, device, numerics, quiet=runtime.quiet)
    return EvaluationTask(case, settings, labels, spec, protocol, device, numerics, learned, labeller=labeller)


def evaluate(task: EvaluationTask, runtime: Runtime, tracker: Tracker | None = None) -> EvaluatedSet:
    """Train and test students on the set, and on what it is compared with."""
    tracker, case, settings = tracker or NullTracker(), task.case, task.settings
    tracker.tags({"labels": task.labels, "split": settings.split})
    test = case.images_of(settings.split).to(task.device)
    tell_of_set(tracker, case.distilled, case.longtail, settings.split)
    evaluator = evaluator_for(test, task.spec, task.protocol, task.numerics, runtime, task.probed)
    own = evaluate_case(case, task.labels, evaluator, task.labeller)
    tell_of_scores(tracker, own, case.distilled, settings.split)
    learned = None
    if task.learned:
        learned = evaluate_case(case, task.labels, replace(evaluator, protocol=task.learned), task.labeller)
        tell_of_learned_rate(tracker, learned)
    found = EvaluatedSet(task, own, learned=learned, inherited=_inherited(task, test))
    if not settings.controls:
        return found
    train = case.longtail.train().to(task.device)
    controls: dict[ControlName, Evaluation] = {}
    selected = partial(evaluate_selections, train, case.selection, start=case.start(train))
    measures = [
        selected,
        partial(evaluate_full, train),
    ]
    if task.probed:
        measures.insert(1, partial(evaluate_centroid, train, case.selection))
    for measure in measures:
        measured = measure(evaluator)
        tracker.metrics({_of_control(name): scores_of(one)["accuracy"] for name, one in measured.items()})
        controls |= measured
    if task.labeller:
        found = replace(found, alike=selected(evaluator, labeller=task.labeller))
    if not settings.fairness:
        return replace(found, controls=controls)
    weight = settings.fairness_weight
    fairness = measure_fairness(case, task.labels, own, controls, train, evaluator, weight, runtime)
    return replace(found, controls=controls, fairness=fairness)


def _inherited(task: EvaluationTask, test: ImageSet) -> dict[str, Evaluation]:
    """The scores of the probed network with the classifier of the set's own, if they were asked for."""
    if task.inheritance is None:
        return {}
    train, images = task.case.longtail.train().to(task.device), task.case.distilled.decoded().to(task.device)
    named = (task.case.distilled.provenance.method, images, train, test, task.case.selection)
    return evaluate_inheritance(task.inheritance, *named, task.protocol.students)


def tell_of_evaluation(found: EvaluatedSet, tracker: Tracker) -> None:
    """Tell the tracker of the results beside the scores."""
    if (share := found.share_of_gap_closed) is not None:
        log = tracker.headline if found.task.settings.split is EvaluationSplit.test else tracker.metrics
        log({"share_of_gap_closed": share})
    if found.fairness is not None:
        tracker.metrics(found.fairness.metrics())
    if found.inherited:
        names = {name: name.replace(",", "").replace(" + ", " ") for name in found.inherited}
        tracker.metrics({f"inherited/{names[name]}": scores_of(x)["accuracy"] for name, x in found.inherited.items()})


def _of_control(name: ControlName) -> str:
    return f"control/{str(name).replace(',', '')}"
