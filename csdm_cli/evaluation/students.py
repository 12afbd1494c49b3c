"""The evaluation protocol: students trained on a set alone, tested on real images, the last step counting.

Every set of a table gets the same number of optimiser steps and the same students: their seeds do not depend on
what they are taught, so that rows differ by the set alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from csdm_cli.display.console import progress
from csdm_cli.evaluation.kept import KeptRuns
from csdm_cli.evaluation.probes import Probed, probe_logits
from csdm_cli.evaluation.protocol import Protocol
from csdm_cli.evaluation.results import Evaluation, StudentRun
from csdm_cli.evaluation.scores import group_of_classes
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.normalisation import in_unit_range
from csdm_cli.names import Parallel
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.networks.network import Network
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.parallel.shared_work import do_unclaimed
from csdm_cli.seeds import derive_seed
from csdm_cli.storage.keys import content_key, source_hash
from csdm_cli.storage.rooms import STUDENTS
from csdm_cli.storage.tensorfile import tensor_sha256
from csdm_cli.training.batches import Examples
from csdm_cli.training.debiased import HEADS, two_heads
from csdm_cli.training.inference import predict
from csdm_cli.training.labeller import Labeller
from csdm_cli.training.losses import Loss, balanced_softmax, cross_entropy
from csdm_cli.training.many import JointMoment, counted, groups_of, stands_together, train_together
from csdm_cli.training.probe import probabilities
from csdm_cli.training.recipe import Recipe
from csdm_cli.training.tuned import identity, in_test, in_training


@dataclass(frozen=True)
class TrainAndTest:
    """The images that students learn from, and those that they are tested on.

    Attributes:
        examples: the training images of a set.
        test: images to be tested on, on the same device.
        spec: the students' architecture.
        balanced_by: class counts for the balanced softmax loss; None for cross-entropy.
        shifts: numbers added to the logits of the trained student before it decides, (C,) for each way to read the
            same student; an empty row reads it as it is.
    """

    examples: Examples
    test: ImageSet
    spec: NetworkSpec
    balanced_by: tuple[int, ...] | None = None
    shifts: tuple[tuple[float, ...], ...] = ((),)

    def key(
        self, protocol: Protocol, *, together: bool = False, numerics: Numerics = PLAIN, probed: Probed | None = None
    ) -> str:
        """Changes with anything that a student's result depends on, but its number.

        Args:
            protocol: the students'.
            together: whether they are trained side by side, which rounds differently.
            numerics: how they compute.
            probed: the backbone, where they are linear probes.
        """
        same = asdict(protocol)
        del same["students"], same["full_steps"]
        described = {
            "images": tensor_sha256(self.examples.images),
            "targets": tensor_sha256(self.examples.targets),
            "normalisation": [list(self.examples.mean), list(self.examples.std)],
            "test": self.test.fingerprint(),
            "spec": self.spec.as_dict(),
            "balanced_by": self.balanced_by,
            "shifts": self.shifts,
            "together": together,
            "device": self.test.images.device.type,
            "torch": str(torch.__version__),
            "source": source_hash(*STUDENTS),
        }
        taught_by = {"labeller": self.examples.labeller.key} if self.examples.labeller else {}
        return content_key(same | described | taught_by | identity(numerics) | (probed.identity if probed else {}))


@dataclass(frozen=True)
class Evaluator:
    """The evaluator of sets: the same for every set of a table, so that its rows differ by the set alone.

    Attributes:
        test: images to be tested on; their mean and std normalise the training images too.
        spec: the students' architecture.
        protocol: recipe, steps and students.
        device: where students are trained and tested.
        cache: root of the cache, where each student's result is kept as soon as there is one; None keeps nothing.
        quiet: show no progress.
        parallel: whether students are trained one after another, or at once where the network allows it.
        numerics: how students compute; those that are not plain are trained one after another.
        probed: the frozen network whose linear probes the students are; None for networks trained from scratch.
    """

    test: ImageSet
    spec: NetworkSpec
    protocol: Protocol
    device: torch.device | str
    cache: Path | None = None
    quiet: bool = False
    parallel: Parallel = Parallel.auto
    numerics: Numerics = PLAIN
    probed: Probed | None = None


def evaluate_set(
    images: Tensor,
    targets: Tensor,
    counts: Sequence[int],
    evaluator: Evaluator,
    *,
    labeller: Labeller | None = None,
    title: str = "student",
) -> Evaluation:
    """Train students on a set and test them.

    Args:
        images: (N, C, H, W) decoded training images, uint8 or floats in [0, 1].
        targets: (N,) int64 classes, or (N, classes) probabilities.
        counts: class sizes of the long-tailed training set, for head, medium and tail.
        evaluator: students, test images and protocol.
        labeller: gives every batch other targets than ``targets``, if any.
        title: the progress bar's title.

    Raises:
        CsdmError: if training diverges, or the network cannot be compiled and is to be.
    """
    test, device = evaluator.test, evaluator.device
    # In one form, so that a set and a control of the same images have their students in common.
    targets = probabilities(targets, test.classes, torch.float32)
    examples = Examples(in_unit_range(images).to(device), targets.to(device), test.mean, test.std, labeller)
    return train_and_test(TrainAndTest(examples, test.to(device), evaluator.spec), counts, evaluator, title=title)[0]


def train_and_test(task: TrainAndTest, counts: Sequence[int], evaluator: Evaluator, *, title: str) -> list[Evaluation]:
    """One evaluation for each of the task's readings (``shifts``) of the same students."""
    protocol, numerics, device = evaluator.protocol, evaluator.numerics, task.test.images.device
    example = evaluator.probed.network if evaluator.probed else build(_spec(task, protocol.recipe), seed=0)
    alone = evaluator.probed or numerics != PLAIN or protocol.recipe.sampling == "debiased"
    together = not alone and stands_together(evaluator.parallel, example, device)
    key = task.key(protocol, together=together, numerics=numerics, probed=evaluator.probed)
    folder = evaluator.cache / "evaluations" / key if evaluator.cache else None
    test = task.test
    kept = KeptRuns(folder, len(task.shifts), test.classes, len(test.images), protocol.tested_after)
    students = range(protocol.students)
    found = kept.read(students)
    missing = [number for number in students if number not in found]
    groups = groups_of(missing, example, task.examples, protocol.recipe.batch, together=together)
    do_unclaimed(groups, kept.locks, lambda group: found.update(_results(task, evaluator, group, kept, title)))
    by_class_size = group_of_classes(counts)
    readings = zip(*(found[number] for number in students), strict=True)
    return [Evaluation(key, runs, by_class_size) for runs in readings]


def confusion_matrix(labels: Tensor, predictions: Tensor, classes: int) -> Tensor:
    """Images by true class (row) and predicted class (column): (C, C) int64."""
    pairs = labels * classes + predictions
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes)


def _results(
    task: TrainAndTest, evaluator: Evaluator, numbers: Sequence[int], kept: KeptRuns, title: str
) -> dict[int, list[StudentRun]]:
    """The students called ``numbers``, trained together but for those that another process has finished first."""
    found = kept.read(numbers)
    missing = [number for number in numbers if number not in found]
    if missing:
        made = _teach_and_test(task, evaluator, missing, title)
        for number, runs in made.items():
            kept.write(number, runs)
        found |= made
    return found


def _teach_and_test(
    task: TrainAndTest, evaluator: Evaluator, numbers: Sequence[int], title: str
) -> dict[int, list[StudentRun]]:
    """Train the students called ``numbers`` at once: of each, one run per reading."""
    protocol = evaluator.protocol
    if evaluator.probed:
        return {number: _probe_and_test(task, evaluator, evaluator.probed, number, title) for number in numbers}
    seeds = {number: derive_seed(protocol.seed, "student", number) for number in numbers}
    device = task.test.images.device
    spec = _spec(task, protocol.recipe)
    networks = {number: build(spec, derive_seed(seed, "weights")).to(device) for number, seed in seeds.items()}
    trained = [in_training(network, spec, evaluator.numerics) for network in networks.values()]
    tested = {number: in_test(network, spec, evaluator.numerics) for number, network in networks.items()}
    tests: dict[int, dict[int, list[Tensor]]] = {number: {} for number in numbers}  # by student and step
    with progress(f"{title} {counted(numbers, protocol.students)}", protocol.steps, quiet=evaluator.quiet) as shown:

        def after(moment: JointMoment) -> None:
            shown.update(moment.step, loss=moment.losses.mean())
            if moment.step in protocol.tested_after:
                moment.bring_up_to_date()
                for number, network in tested.items():
                    tests[number][moment.step] = _test(network, task)

        training_seeds = [derive_seed(seed, "training") for seed in seeds.values()]
        arguments = (trained, task.examples, protocol.recipe, protocol.steps, training_seeds)
        train_together(*arguments, loss=_loss(task, protocol.recipe), on_step=after)
    if not protocol.steps:
        tests = {number: {0: _test(network, task)} for number, network in tested.items()}
    return {number: _runs(number, found, len(task.shifts)) for number, found in tests.items()}


def _probe_and_test(
    task: TrainAndTest, evaluator: Evaluator, probed: Probed, number: int, title: str
) -> list[StudentRun]:
    """One run per reading of the linear probe called ``number``."""
    protocol = evaluator.protocol
    seed = derive_seed(protocol.seed, "student", number)
    with progress(f"{title} {counted([number], protocol.students)}", protocol.steps, quiet=evaluator.quiet) as shown:
        logits = probe_logits(
            *(probed, task.examples, task.test, protocol.recipe, protocol.steps, seed),
            loss=_loss(task, protocol.recipe),
            on_step=lambda step, value: shown.update(step, loss=value),
        )
    return _runs(number, {protocol.steps: _confusions(logits, task)}, len(task.shifts))


def _spec(task: TrainAndTest, recipe: Recipe) -> NetworkSpec:
    """The architecture to train: of two heads under the debiased recipe."""
    return replace(task.spec, classes=HEADS * task.spec.classes) if recipe.sampling == "debiased" else task.spec


def _loss(task: TrainAndTest, recipe: Recipe) -> Loss:
    if recipe.sampling == "debiased":
        return two_heads
    return cross_entropy if task.balanced_by is None else balanced_softmax(task.balanced_by)


def _test(network: Network, task: TrainAndTest) -> list[Tensor]:
    """One confusion matrix for each reading of the network."""
    return _confusions(predict(network, task.test.images, task.test.mean, task.test.std), task)


def _confusions(logits: Tensor, task: TrainAndTest) -> list[Tensor]:
    """One confusion matrix for each reading of logits (N, C), or (N, 2C) of two heads, of the test images."""
    test, logits = task.test, logits[:, -task.test.classes :].double()  # the second head decides
    readings = [logits + torch.tensor(shift or 0.0, dtype=logits.dtype, device=logits.device) for shift in task.shifts]
    return [confusion_matrix(test.labels, reading.argmax(1), test.classes).cpu() for reading in readings]


def _runs(number: int, tests: dict[int, list[Tensor]], readings: int) -> list[StudentRun]:
    """A student's run under each reading, from its confusion matrices by step."""
    return [_run(number, {step: found[reading] for step, found in tests.items()}) for reading in range(readings)]


def _run(number: int, tests: dict[int, Tensor]) -> StudentRun:
    curve = tuple((step, int(matrix.trace()) / int(matrix.sum())) for step, matrix in tests.items())
    last = tests[max(tests)]
    return StudentRun(number, tuple(tuple(row) for row in last.tolist()), curve)
