"""A distilled set in memory: images, labels, and everything needed to use them rightly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from csdm_cli import __version__
from csdm_cli.errors import CsdmError
from csdm_cli.images.multi_formation import decode
from csdm_cli.names import LabelKind
from csdm_cli.parameterisations.multi_formation import MultiFormation
from csdm_cli.parameterisations.parameterisation import Parameterisation, Shape
from csdm_cli.parameterisations.pixels import Pixels
from csdm_cli.parameterisations.stored import MADE_OF, parameterisation_of
from csdm_cli.storage.keys import source_hash
from csdm_cli.storage.tensorfile import tensor_sha256

PARTS = "sets"  # in the provenance: the sets that a set was made of


@dataclass(frozen=True)
class DatasetInfo:
    """The long-tailed set that was distilled.

    Attributes:
        name: the dataset's name, e.g. ``cifar10``.
        class_names: one per class, in label order.
        counts: training images per class after the long tail was drawn.
        mean, std: per channel, of pixels in [0, 1]: the normalisation that networks expect.
        train_fingerprint, test_fingerprint: hashes of the pixels; empty where unknown.
    """

    name: str
    class_names: tuple[str, ...]
    counts: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train_fingerprint: str = ""
    test_fingerprint: str = ""

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


@dataclass(frozen=True)
class Decoding:
    """The way from stored to training images: ``csdm_cli.images.multi_formation.decode(images, factor, size)``.

    Attributes:
        factor: cells per side of a stored image.
        stored_size: height and width of a stored image.
        size: height and width of a decoded image.
        mode: how cells are enlarged.
    """

    factor: int
    stored_size: int
    size: int
    mode: str = "bilinear"

    @property
    def per_image(self) -> int:
        """Decoded images per stored one."""
        return self.factor**2


@dataclass(frozen=True)
class Coded:
    """The way from other stored numbers to training images: ``parameterisations.stored.parameterisation_of(…).opened``.

    Attributes:
        parameterisation: its kind and own numbers, as ``parameterisations.stored.described`` gives them.
        ipc: the budget: so many 8-bit images per class have at least as many bytes as the stored numbers.
        size: height and width of a decoded image.
    """

    parameterisation: dict[str, Any]
    ipc: int
    size: int
    factor: ClassVar[int] = 1
    per_image: ClassVar[int] = 1

    @property
    def stored_size(self) -> int:
        """Height and width of an image as it is shown: decoded."""
        return self.size

    @property
    def kind(self) -> str:
        """The parameterisation's name."""
        return str(self.parameterisation["kind"])

    @property
    def made_of(self) -> str:
        """The stored numbers in words, e.g. ``frequency coefficients``."""
        return MADE_OF[self.kind]

    @property
    def made_of_in_full(self) -> str:
        """As :attr:`made_of`, with the parameterisation's own numbers: ``frequency coefficients (kept 28, …)``."""
        own = sorted((name, value) for name, value in self.parameterisation.items() if name != "kind")
        told = [f"{name} {value if isinstance(value, str) else json.dumps(value)}" for name, value in own]
        return f"{self.made_of} ({', '.join(told)})"


@dataclass(frozen=True)
class Provenance:
    """The origin of a set; nothing that differs between two runs of the same thing.

    Attributes:
        method: the method's name.
        seed: the run's seed.
        config: the resolved settings, JSON values only, without paths.
        source: hash of the package's source code.
        versions: version numbers of csdm and torch.
    """

    method: str
    seed: int
    config: dict[str, Any]
    source: str
    versions: dict[str, str]

    @classmethod
    def of_run(cls, method: str, seed: int, config: Mapping[str, Any]) -> Provenance:
        """The provenance of what is being computed now, by this code."""
        versions = {"csdm": __version__, "torch": str(torch.__version__)}
        return cls(str(method), seed, dict(config), source_hash(), versions)


@dataclass(frozen=True, eq=False)
class SoftLabels:
    """Class probabilities of the decoded images.

    Attributes:
        probabilities: (N * factor², classes) float32, rows summing to 1, in the order of decoding.
        temperature: temperature of the softmax that made them.
        teacher: who made them, in words, e.g. ``5 x convnet``.
    """

    probabilities: Tensor
    temperature: float
    teacher: str


@dataclass(frozen=True, eq=False)
class Distilled:
    """A distilled set.

    Attributes:
        stored: ``images`` alone, (N, channels, h, h) uint8, or float with pixels in ``value_range``, class after
            class; under :class:`Coded`, the tensors of its parameterisation.
        labels: (N,) int64, ascending: the class of each of :attr:`images`.
        dataset: the distilled set's origin.
        decoding: how training images come out of what is stored.
        provenance: how the set was made.
        evaluation: the recipe it is meant to be evaluated with (network, steps, optimiser ...), JSON values; with
            ``learned_rate``, if the set was learned together with a step size for its students.
        soft_labels: one row per decoded image, or None.
        value_range: lowest and highest pixel allowed, on the scale where black is 0 and white is 1 (the
            scale on which ``dataset.mean`` and ``std`` are given; uint8 images are divided by 255).
    """

    stored: dict[str, Tensor]
    labels: Tensor
    dataset: DatasetInfo
    decoding: Decoding | Coded
    provenance: Provenance
    evaluation: dict[str, Any] = field(default_factory=dict)
    soft_labels: SoftLabels | None = None
    value_range: tuple[float, float] = (0.0, 1.0)

    @property
    def images(self) -> Tensor:
        """(N, channels, h, h), class after class: the stored images, or float32 ones decoded from other numbers."""
        return self.stored["images"] if isinstance(self.decoding, Decoding) else self.decoded()

    @property
    def counts(self) -> tuple[int, ...]:
        """How many of :attr:`images` each class has."""
        return tuple(torch.bincount(self.labels, minlength=self.dataset.classes).tolist())

    @property
    def ipc(self) -> tuple[int, ...]:
        """The storage of each class in images: those stored, or as many as the budget of other numbers allows."""
        if isinstance(self.decoding, Coded):
            return (self.decoding.ipc,) * self.dataset.classes
        return self.counts

    @property
    def ipc_text(self) -> str:
        """:attr:`ipc` as a person reads it: ``10``, or ``1 to 12`` where classes differ."""
        least, most = min(self.ipc), max(self.ipc)
        return str(most) if least == most else f"{least} to {most}"

    @property
    def per_class_text(self) -> str:
        """:attr:`ipc_text` with its noun: ``1 image per class``."""
        return f"{self.ipc_text} image{'s' * (max(self.ipc) > 1)} per class"

    @property
    def empty_classes(self) -> tuple[str, ...]:
        """Names of the classes without any image."""
        return tuple(name for name, count in zip(self.dataset.class_names, self.counts, strict=True) if not count)

    @property
    def shape(self) -> Shape:
        """The decoded images."""
        return Shape(self.dataset.classes, len(self.dataset.mean), self.decoding.size)

    @property
    def kind(self) -> str:
        """The name of what is stored: pixels, multi-formation, or another parameterisation's."""
        if isinstance(self.decoding, Coded):
            return self.decoding.kind
        return Pixels.kind if self.decoding.factor == 1 else MultiFormation.kind

    @property
    def learned_rate(self) -> float | None:
        """The step size that was learned for its students, if one was."""
        return self.evaluation.get("learned_rate")

    @property
    def default_labels(self) -> LabelKind:
        """The labels to train on unless told otherwise: soft ones, if there are any."""
        return LabelKind.hard if self.soft_labels is None else LabelKind.soft

    def unit_images(self) -> Tensor:
        """:attr:`images` as float32, black 0 and white 1."""
        images = self.images
        return images.float() / 255 if images.dtype == torch.uint8 else images.float()

    def decoded(self) -> Tensor:
        """The training images, not normalised: (N * factor², channels, size, size) float32, white 1."""
        if isinstance(self.decoding, Coded):
            return self.parameterisation().opened(self.stored)
        return decode(self.unit_images(), self.decoding.factor, self.decoding.size)

    def parameterisation(self) -> Parameterisation:
        """The parameterisation whose numbers a :class:`Coded` set stores."""
        assert isinstance(self.decoding, Coded)
        return parameterisation_of(self.decoding.parameterisation, self.shape, self.stored)

    def decoded_labels(self) -> Tensor:
        """The class of each decoded image: (N * factor²,) int64."""
        return self.labels.repeat_interleave(self.decoding.per_image)

    def targets(self, kind: LabelKind) -> Tensor:
        """The students' targets: (N * factor², classes) float32, rows summing to 1; classes, where teachers label.

        Raises:
            CsdmError: if soft labels are asked for and the set has none.
        """
        if kind is not LabelKind.soft:
            return F.one_hot(self.decoded_labels(), self.dataset.classes).float()
        if self.soft_labels is None:
            raise CsdmError("this set has no soft labels: use --labels hard, or distil it with --labels soft")
        return self.soft_labels.probabilities.float()


def soft_labels_sha256(distilled: Distilled) -> str | None:
    """The hash by which results name the soft labels of the set they were measured on; None if it has none."""
    soft = distilled.soft_labels
    if soft is None:
        return None
    return sha256(json.dumps([tensor_sha256(soft.probabilities), soft.temperature]).encode()).hexdigest()


def set_hashes(distilled: Distilled) -> dict[str, str | None]:
    """The hashes by which results name the set that they were measured on, under the names that they have there."""
    return {"images_sha256": stored_sha256(distilled), "soft_labels_sha256": soft_labels_sha256(distilled)}


def stored_sha256(distilled: Distilled) -> str:
    """The hash by which results name the images that they were measured on: the stored ones, or of all it decodes."""
    if isinstance(distilled.decoding, Decoding):
        return tensor_sha256(distilled.stored["images"])
    parts = {name: tensor_sha256(tensor) for name, tensor in distilled.stored.items()}
    told = json.dumps([distilled.decoding.parameterisation, distilled.decoding.size, parts], sort_keys=True)
    return sha256(told.encode()).hexdigest()
