"""The parts that evaluate and cross-arch share: a set with its test images, the protocol, rows and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from torch import Tensor

from csdm_cli.artifacts.distilled import Coded, Distilled
from csdm_cli.artifacts.file import FILE_NAME, find_artifact, load_distilled
from csdm_cli.data.holdout import read_test
from csdm_cli.data.store import LongTail, find_by_fingerprints
from csdm_cli.display.console import note
from csdm_cli.display.tables import figures_table
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.evaluation.controls import Selection
from csdm_cli.evaluation.probes import Probed
from csdm_cli.evaluation.protocol import Protocol
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.evaluation.scores import MeanStd
from csdm_cli.evaluation.students import Evaluator, evaluate_set
from csdm_cli.foreign.importing import METHOD, import_foreign
from csdm_cli.foreign.whitening import Whitening
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.initial import initial_images
from csdm_cli.names import EvaluationSplit, Initial, LabelKind, StoredLabels
from csdm_cli.networks import NetworkSpec
from csdm_cli.networks.numerics import Numerics
from csdm_cli.runs.long_tail import given, given_or_newest
from csdm_cli.runs.provenance import dataset_info
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.student_protocol import renamed
from csdm_cli.safe_text import markup, shown
from csdm_cli.settings import sections
from csdm_cli.storage import places
from csdm_cli.training.labeller import Labeller

COLUMNS = {"accuracy": "accuracy", "head": "head", "medium": "medium", "tail": "tail", "worst_class": "worst class"}
# Settings of one parameterization alone.
SIZES = ("coefficients", "shared_kernels", "tensor_side")


@dataclass(frozen=True)
class Foreign:
    """A set of another tool, as `csdm import` and `csdm evaluate --images` name it.

    Attributes:
        images: the file or folder with the images.
        labels: the file with their labels; None: they are with the images.
        factor: multi-formation factor.
        normalised: whether pixels were normalised by mean and deviation; False tells that by their range.
        whitened: whether they were ZCA-whitened.
        experiment: which of several in one file; None takes the first.
        method: the name of what distilled it.
    """

    images: Path
    labels: Path | None = None
    factor: int = 1
    normalised: bool = False
    whitened: bool = False
    experiment: int | None = None
    method: str = METHOD


@dataclass(frozen=True)
class Case:
    """A distilled set and the long-tailed set it is evaluated on.

    Attributes:
        path: the artifact, or the other tool's images.
    """

    path: Path
    distilled: Distilled
    longtail: LongTail

    @property
    def selection(self) -> Selection:
        """The selection that the controls of this set take from the training set."""
        origin = self.distilled.provenance
        return Selection.like(self.distilled.ipc, self.distilled.decoding.factor, origin.seed)

    def start(self, train: ImageSet) -> Tensor | None:
        """Random real images put through a coded set's parameterisation, rounded as it is stored; None of images.

        A run of the set's seed starts from them, unless that is noise, or images that its method chose:
        (classes·per_class, channels, size, size) in [0, 1], class after class.
        """
        if not isinstance(self.distilled.decoding, Coded):
            return None
        form = self.distilled.parameterisation()
        images = initial_images(train, form.per_class, 1, Initial.real, self.distilled.provenance.seed)
        return form.opened(form.stored(form.initial(images)))

    def images_of(self, split: EvaluationSplit) -> ImageSet:
        """The images students are tested on."""
        return images_of(self.longtail, split)

    def spec(self, name: str | None = None) -> NetworkSpec:
        """The set's architecture, or the one called ``name`` for the same images."""
        recorded = self.distilled.evaluation.get("network")
        manifest = self.longtail.manifest
        own = NetworkSpec(
            **(
                recorded
                or {"name": "convnet", "channels": manifest.channels, "size": manifest.size}
                | {"classes": manifest.classes}
            )
        )
        return renamed(own, name)


def start_of(distill: Mapping[str, Any]) -> sections.Distill:
    """Settings of the start of a set of coefficients or tensors: dm's, which all share, before its first step."""
    own = {name: distill[name] for name in ("ipc", "parameterization", *SIZES)}
    fixed = {"method": "dm", "factor": 1, "iterations": 0, "initial": "real", "labels": StoredLabels.hard}
    return sections.Distill.model_validate(own | fixed)


def evaluator_for(
    test: ImageSet,
    spec: NetworkSpec,
    protocol: Protocol,
    numerics: Numerics,
    runtime: Runtime,
    probed: Probed | None = None,
) -> Evaluator:
    """Who evaluates on ``test``, where these images are, by the cache and the options that every command shares."""
    device, cache = test.images.device, places.cache_dir()
    return Evaluator(test, spec, protocol, device, cache, runtime.quiet, runtime.parallel, numerics, probed)


def images_of(longtail: LongTail, split: EvaluationSplit) -> ImageSet:
    """The images that students are tested on.

    Raises:
        CsdmError: if there is no development set, or the images cannot be read.
    """
    return read_test(longtail) if split is EvaluationSplit.test else longtail.dev()


def open_case(file: Path | None, data: Path | None, foreign: Foreign | None = None, *, quiet: bool = False) -> Case:
    """Find the set and its long-tailed set, which is made on the way if ``data`` are images.

    Raises:
        UsageError: if both FILE and another tool's images are given.
        CsdmError: if something is missing or damaged, or the long-tailed set is another one than the set's.
    """
    if foreign is not None:
        if file is not None:
            raise UsageError("give either FILE or --images, not both")
        longtail = given_or_newest(data, quiet=quiet)
        return Case(foreign.images, bring_in(foreign, longtail), longtail)
    path = find_artifact(file) if file else newest_artifact()
    distilled = load_distilled(path)
    wanted, seen = distilled.dataset.test_fingerprint, distilled.dataset.train_fingerprint
    if not (wanted or data):
        raise CsdmError(
            f"{path} was made of other sets or classes: name the long-tailed set to evaluate it on with --data"
        )
    longtail = given(data, quiet=quiet) if data else find_by_fingerprints(wanted, seen)
    if wanted and longtail.manifest.fingerprints["test"] != wanted:
        raise CsdmError(f"{path} was distilled from another dataset than {longtail.folder}: their test sets differ")
    if seen and longtail.manifest.fingerprints["train"] != seen:
        raise CsdmError(
            f"{path} was distilled from another tail than {longtail.folder}, whose controls and rare classes are not"
            " its own: name the long-tailed set that it was distilled from, or make that again with csdm make-lt"
        )
    if distilled.dataset.class_names != longtail.manifest.class_names:
        raise CsdmError(
            f"{path} has other classes than {longtail.folder}, or another order of them: evaluate it on a"
            " long-tailed set of its own classes, or merge it to all of them with csdm merge --data"
        )
    return Case(path, distilled, longtail)


def bring_in(foreign: Foreign, longtail: LongTail) -> Distilled:
    """Another tool's set as one distilled from ``longtail``.

    Raises:
        UsageError, CsdmError: if it cannot be read or does not fit, in words.
    """
    if foreign.normalised and foreign.whitened:
        raise UsageError("--normalised and --zca exclude each other: tools that whiten do not normalise")
    unwhiten = Whitening.fit(longtail.train().images).undo if foreign.whitened else None
    return import_foreign(
        foreign.images,
        foreign.labels,
        dataset=dataset_info(longtail),
        size=longtail.manifest.size,
        factor=foreign.factor,
        normalised=foreign.normalised,
        unwhiten=unwhiten,
        experiment=foreign.experiment,
        method=foreign.method,
    )


def tell_empty_classes(distilled: Distilled, *, quiet: bool) -> None:
    """Warn of classes that students cannot learn, for the set has no image of them."""
    if names := distilled.empty_classes:
        first = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        note(f"warning: the set has no image of {len(names)} of its classes: {first}", quiet=quiet)


def newest_artifact(root: Path = Path("artifacts")) -> Path:
    """The distilled set below ``root`` that was written last.

    Raises:
        CsdmError: if there is none.
    """
    found = [(path.stat().st_mtime_ns, path) for path in root.glob(f"**/{FILE_NAME}")]
    if not found:
        raise CsdmError(f"no distilled set in {root}/: make one first with csdm distill")
    return max(found)[1]


def evaluate_case(case: Case, labels: LabelKind, evaluator: Evaluator, labeller: Labeller | None = None) -> Evaluation:
    """Train and test students on the set of ``case``, as it is stored; ``labeller`` gives the labels ``teacher``."""
    return evaluate_set(
        case.distilled.decoded(),
        case.distilled.targets(labels),
        case.longtail.manifest.counts,
        evaluator,
        labeller=labeller,
        title=f"{case.distilled.provenance.method} on {evaluator.spec.name}, student",
    )


def metrics_of(evaluation: Evaluation) -> dict[str, Any]:
    """Mean, spread and number of students of every score, in percent but for the number."""
    return {
        name: {"mean": _percent(score.mean), "std": _percent(score.std), "students": score.count}
        for name, score in evaluation.metrics().items()
    }


def without_tests(names: Sequence[str]) -> str:
    """A sentence on the classes that have no test images; empty if all have some."""
    return f"Untested, for there are no test images of them: {shown(', '.join(names))}." if names else ""


def score_table(
    title: str,
    rows: Mapping[str, Evaluation],
    split: EvaluationSplit,
    first: str = "trained on",
    untested: Sequence[str] = (),
) -> list[RenderableType]:
    """One row per evaluation on ``split``, accuracies in percent, between a title and what the figures are."""
    table = figures_table(first, list(COLUMNS.values()))
    for number, (name, evaluation) in enumerate(rows.items()):
        found = evaluation.metrics()
        table.add_row(name, *(_cell(found.get(column)) for column in COLUMNS), style="bold" if number == 0 else None)
    best = next(iter(rows.values())).metrics()["best_on_test"]
    caption = f"Accuracy in % on the {split} set, after the last step: mean ± std over students."
    return [
        f"[bold]{markup(title)}[/]",
        table,
        f"[dim]{caption} (Best step on the {split} images, for curiosity: {best}.)[/]",
        *([f"[dim]{markup(without_tests(untested))}[/]"] if untested else []),
    ]


def bars(rows: Mapping[str, Evaluation]) -> Sequence[tuple[str, float, float]]:
    """(name, mean, std) in percent, for a picture."""
    return [
        (name, 100 * evaluation.accuracy.mean, 100 * (evaluation.accuracy.std or 0.0))
        for name, evaluation in rows.items()
    ]


def _cell(summary: MeanStd | None) -> str:
    return "–" if summary is None else str(summary)


def _percent(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 4)
