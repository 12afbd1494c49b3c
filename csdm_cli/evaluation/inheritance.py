"""The inheritance of a classifier (arXiv 2602.05391): one backbone's, trained on all real images, used by another.

The classifier of the backbone that made a set reads that backbone's features. Another backbone's features are projected
onto them by an affine map, fitted to a few images that both look at: those of the set, whose labels are not read. As
any images do for that, random real ones stand beside, in several numbers. On the same backbone the map is the identity,
and the accuracy that of the classifier whatever the images are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from csdm_cli.evaluation.controls import Selection, random_images
from csdm_cli.evaluation.probes import Probed
from csdm_cli.evaluation.results import Evaluation, StudentRun
from csdm_cli.evaluation.scores import group_of_classes
from csdm_cli.evaluation.students import confusion_matrix
from csdm_cli.images.image_set import ImageSet
from csdm_cli.seeds import derive_seed
from csdm_cli.storage.keys import content_key
from csdm_cli.storage.tensorfile import tensor_sha256

# Strengths of the ridge that are tried, in units of a feature vector's mean squared length.
STRENGTHS = tuple(10.0**power for power in range(-6, 3))
# Random images per class that the map is fitted to, beside as many as the set has.
NUMBERS = (1, 10, 100)
BYTES = 4  # of a stored number
RANDOM = "random + inheritance"  # as many as the set has


@dataclass(frozen=True)
class Inheritance:
    """Who inherits from whom.

    Attributes:
        giver: the backbone with the classifier.
        heir: another, which is to use it; or the same.
    """

    giver: Probed
    heir: Probed

    @property
    def needs_no_map(self) -> bool:
        """Whether both are the same network."""
        return self.giver.key == self.heir.key

    @property
    def stored_bytes(self) -> dict[str, int]:
        """The bytes stored beside the images: the classifier's; and the map's, for whoever does not fit it."""
        classifier = self.giver.network.classifier
        numbers = classifier.weight.numel() + classifier.bias.numel()
        affine = (self.heir.network.feature_dim + 1) * self.giver.network.feature_dim
        return {"classifier_bytes": BYTES * numbers, "map_bytes": 0 if self.needs_no_map else BYTES * affine}

    @torch.no_grad()
    def logits(self, images: Tensor, test: ImageSet) -> Tensor:
        """Logits (N, C) of the images of ``test``, the map fitted to ``images`` (M, channels, H, W)."""
        seen = self.heir.features(test.images, test.mean, test.std)
        if not self.needs_no_map:
            own, wanted = (side.features(images, test.mean, test.std) for side in (self.heir, self.giver))
            weight, bias = affine_map(own, wanted)
            seen = seen @ weight.T + bias
        logits: Tensor = self.giver.network.classifier(seen)
        return logits


def affine_map(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Ridge regression of ``target`` (M, D) on ``source`` (M, E): weight (D, E), and bias (D,).

    Its strength is the one of :data:`STRENGTHS` that predicts each image best from all others.
    """
    from sklearn.linear_model import RidgeCV

    x, y = source.double().cpu(), target.double().cpu()
    centred = x - x.mean(0)
    unit = float(centred.square().sum(1).mean()) or 1.0
    found = RidgeCV(alphas=[unit * strength for strength in STRENGTHS]).fit(x.numpy(), y.numpy())
    weight, bias = torch.from_numpy(found.coef_), torch.from_numpy(found.intercept_)
    return weight.to(target), bias.to(target)


def random_rows(ipc: int, largest: int) -> dict[str, int]:
    """The rows of random images by name, and the images per class of each.

    Args:
        ipc: as many as the set has.
        largest: as many as there are in the largest class.
    """
    others = [number for number in NUMBERS if number != ipc and number <= largest]
    return {RANDOM: ipc} | {f"random, {number} per class + inheritance": number for number in others}


def evaluate_inheritance(
    inheritance: Inheritance,
    name: str,
    images: Tensor,
    data: ImageSet,
    test: ImageSet,
    selection: Selection,
    draws: int,
) -> dict[str, Evaluation]:
    """The rows of the set called ``name``, and of ``draws`` draws of random real images in several numbers.

    Args:
        inheritance: who inherits from whom.
        name: the set's.
        images: the set's decoded ones, on the device of all.
        data, test: the real images.
        selection: as many random images as the set stores.
        draws: how many of random images; nothing else is random.
    """
    rows = {f"{name} + inheritance": [images]}
    for row, number in random_rows(selection.ipc, max(data.counts)).items():
        per_class = selection.per_class if number == selection.ipc else None
        rows[row] = drawn(data, replace(selection, ipc=number, per_class=per_class), draws)
    return {row: inherited(inheritance, sets, data.counts, test) for row, sets in rows.items()}


def inherited(inheritance: Inheritance, sets: Sequence[Tensor], counts: Sequence[int], test: ImageSet) -> Evaluation:
    """The scores of the classifier, a run for each of the ``sets`` of images that the map is fitted to.

    Args:
        inheritance: who inherits from whom.
        sets: (M, channels, H, W) each.
        counts: class sizes of the training set, for head, medium and tail.
        test: images to be tested on.
    """
    return Evaluation(_key(inheritance, sets, test), _runs(inheritance, sets, test), group_of_classes(counts))


def drawn(data: ImageSet, selection: Selection, draws: int) -> list[Tensor]:
    """So many draws of random real images, each as ``selection`` asks, which all depend on its seed."""
    seeds = [derive_seed(selection.seed, "inheritance", draw) for draw in range(draws)]
    return [random_images(data, replace(selection, factor=1, seed=seed)) for seed in seeds]


def _runs(inheritance: Inheritance, sets: Sequence[Tensor], test: ImageSet) -> tuple[StudentRun, ...]:
    runs = []
    for number, images in enumerate(sets):
        predictions = inheritance.logits(images.to(test.images.device), test).argmax(1)
        matrix = confusion_matrix(test.labels, predictions, test.classes).cpu()
        accuracy = int(matrix.trace()) / int(matrix.sum())
        runs.append(StudentRun(number, tuple(tuple(row) for row in matrix.tolist()), ((0, accuracy),)))
    return tuple(runs)


def _key(inheritance: Inheritance, sets: Sequence[Tensor], test: ImageSet) -> str:
    described: dict[str, Any] = {"giver": inheritance.giver.key, "heir": inheritance.heir.key}
    return content_key(described | {"images": [tensor_sha256(images) for images in sets], "test": test.fingerprint()})
