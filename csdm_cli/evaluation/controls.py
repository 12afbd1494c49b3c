"""The controls beside every result: random real images, the set's own initialisation, the full training set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import torch
from torch import Tensor

from csdm_cli.evaluation.probes import Probed
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.evaluation.students import Evaluator, TrainAndTest, evaluate_set, train_and_test
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.initial import initial_images, to_uint8
from csdm_cli.images.multi_formation import decode
from csdm_cli.names import Initial
from csdm_cli.training.batches import Examples
from csdm_cli.training.labeller import Labeller
from csdm_cli.training.losses import log_prior


class ControlName(StrEnum):
    """Rows that stand in every table."""

    random = "random"
    tiled_random = "tiled-random"
    start = "start"
    centroid = "nearest to centroid"
    full_cross_entropy = "full, cross-entropy"
    full_logit_adjustment = "full, logit-adjustment"
    full_balanced_softmax = "full, balanced-softmax"
    full_debiased = "full, debiased"


FULL = (
    ControlName.full_cross_entropy,
    ControlName.full_logit_adjustment,
    ControlName.full_balanced_softmax,
    ControlName.full_debiased,
)


def under_labels(control: str, labels: str, beside: str) -> str:
    """The name of a control's row under labels of this kind; never that of a set of the method ``beside``."""
    return f"{control}{' control' if control == beside else ''} ({labels} labels)"


@dataclass(frozen=True)
class Selection:
    """The numbers that a set takes from the training set, and which draw of it.

    Attributes:
        ipc: stored images per class.
        factor: cells per side of a stored image.
        seed: random seed of the set: with it the tiled images are the set's own ones before the first step.
        per_class: stored images of each class where they differ; ``ipc`` is the largest. None: ``ipc`` of each.
    """

    ipc: int
    factor: int
    seed: int
    per_class: tuple[int, ...] | None = None

    @classmethod
    def like(cls, per_class: Sequence[int], factor: int, seed: int) -> Selection:
        """As many images of each class as a set stores, or as its budget stands for."""
        most = max(per_class)
        return cls(most, factor, seed, None if set(per_class) == {most} else tuple(per_class))

    def kept(self, classes: int) -> Tensor:
        """Positions of the images to keep among ``ipc`` of each class: (M,) int64, class after class."""
        counts = self.per_class or (self.ipc,) * classes
        return torch.cat([torch.arange(count) + label * self.ipc for label, count in enumerate(counts)])

    def labels(self, classes: int) -> Tensor:
        """The class of each image to keep: (M,) int64."""
        return self.kept(classes) // self.ipc


def random_images(data: ImageSet, selection: Selection) -> Tensor:
    """As many real images of each class as ``selection`` says, class after class: (M, channels, H, W) uint8.

    Drawn without replacement; a class with fewer images is repeated as :func:`initial_images` says.
    """
    images = initial_images(data, selection.ipc, 1, Initial.real, selection.seed)
    return to_uint8(images[selection.kept(data.classes)])


def tiled_images(data: ImageSet, selection: Selection) -> Tensor:
    """factor² shrunk real images per stored image, stored as uint8 and decoded: (M·factor², channels, H, W)."""
    images = initial_images(data, selection.ipc, selection.factor, Initial.mix, selection.seed)
    stored = to_uint8(images[selection.kept(data.classes)])
    return decode(stored.float() / 255, selection.factor, data.size)


def evaluate_selections(
    data: ImageSet,
    selection: Selection,
    evaluator: Evaluator,
    start: Tensor | None = None,
    labeller: Labeller | None = None,
) -> dict[ControlName, Evaluation]:
    """The rows ``random`` and ``tiled-random``, by the same protocol as the set; they are one row at factor 1.

    They take as many images of each class as the set, so that the total is the same. ``start`` are the images,
    as many of each class in turn, that a set of other numbers than images would begin with: a row in place of tiles.
    ``labeller`` gives students other targets than the classes, if any.
    """
    labels = selection.labels(data.classes)
    images = {ControlName.random: (random_images(data, selection), labels)}
    if start is not None:
        own = torch.arange(data.classes).repeat_interleave(len(start) // data.classes)
        images[ControlName.start] = start, own
    elif selection.factor > 1:
        own = labels.repeat_interleave(selection.factor**2)
        images[ControlName.tiled_random] = tiled_images(data, selection), own
    found = {
        name: evaluate_set(chosen, targets, data.counts, evaluator, labeller=labeller, title=f"{name}, student")
        for name, (chosen, targets) in images.items()
    }
    return found if start is not None else {ControlName.tiled_random: found[ControlName.random]} | found


def nearest_to_centroid(data: ImageSet, selection: Selection, probed: Probed) -> Tensor:
    """The images of each class whose features are nearest to the class's mean, class after class: (M, ...) uint8.

    A class with fewer images than wanted gives its nearest ones again.
    """
    features = probed.features(data.images, data.mean, data.std)
    chosen = []
    for first, rows in zip(data.offsets, features.split(list(data.counts)), strict=False):
        order = (rows - rows.mean(0)).square().sum(1).sort(stable=True).indices
        chosen.append(first + order[torch.arange(selection.ipc, device=order.device) % len(order)])
    return data.images[torch.cat(chosen)[selection.kept(data.classes).to(data.images.device)]]


def evaluate_centroid(data: ImageSet, selection: Selection, evaluator: Evaluator) -> dict[ControlName, Evaluation]:
    """The row of the real images that are nearest to their class's mean, for linear probes."""
    assert evaluator.probed is not None
    images, name = nearest_to_centroid(data, selection, evaluator.probed), ControlName.centroid
    return {
        name: evaluate_set(images, selection.labels(data.classes), data.counts, evaluator, title=f"{name}, student")
    }


def evaluate_full(data: ImageSet, evaluator: Evaluator) -> dict[ControlName, Evaluation]:
    """The full long-tailed set under the students' recipe, until it is learnt: one row per answer to the long tail.

    Its number of steps is its own (:meth:`Protocol.on_all`): the students' are too few for as many images.

    Cross-entropy and post-hoc logit adjustment read the same trained students. The debiased recipe
    (:mod:`csdm_cli.training.debiased`) changes the network, so that linear probes of a frozen one have no such row.

    Raises:
        CsdmError: if a class has no training image.
    """
    evaluator = replace(evaluator, protocol=evaluator.protocol.on_all(len(data.images)))
    data, test = data.to(evaluator.device), evaluator.test.to(evaluator.device)
    examples = Examples(data.images, data.labels, test.mean, test.std)
    adjusted = tuple((-log_prior(data.counts)).tolist())
    plain = TrainAndTest(examples, test, evaluator.spec, shifts=((), adjusted))
    balanced = TrainAndTest(examples, test, evaluator.spec, balanced_by=data.counts)
    as_is, lowered = train_and_test(plain, data.counts, evaluator, title=f"{FULL[0]}, student")
    (softmax,) = train_and_test(balanced, data.counts, evaluator, title=f"{FULL[2]}, student")
    found = dict(zip(FULL, (as_is, lowered, softmax), strict=False))
    if evaluator.probed is None:
        recipe = replace(evaluator.protocol.recipe, sampling="debiased")
        debiasing = replace(evaluator, protocol=replace(evaluator.protocol, recipe=recipe))
        task = TrainAndTest(examples, test, evaluator.spec)
        (found[ControlName.full_debiased],) = train_and_test(task, data.counts, debiasing, title=f"{FULL[3]}, student")
    return found


def best_full(controls: Mapping[ControlName, Evaluation]) -> ControlName:
    """The full-data control of the highest mean accuracy."""
    return max((name for name in FULL if name in controls), key=lambda name: controls[name].accuracy.mean)
