"""The contract of methods that learn through training: they compare what networks learn from the images.

Gradient matching compares a network's gradient on synthetic images with that on real ones, trajectory matching the
weights that a student reaches with those of an expert. Both need derivatives of training itself (see
``training/second_order``). The engine decodes the images once a step and takes the method's derivative in them back to
whatever they were made of; a method may have further numbers learned beside the images, such as labels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods.contract import OptimisedMethod
from csdm_cli.names import ExpertOptimizer

# What may be learned beside the images and is stored with them: logits of the labels, (C·per_class, C), and the
# logarithm of a student's step size, ().
LABEL_LOGITS, LOG_STEP = "label_logits", "log_step"


@dataclass(frozen=True)
class Learned:
    """A tensor that is learned beside the images, by SGD at a constant rate.

    Attributes:
        start: its value before the first step.
        lr: learning rate.
        momentum: momentum of SGD.
    """

    start: Tensor
    lr: float
    momentum: float = 0.0


@dataclass(frozen=True)
class Experts:
    """The experts that a method follows, where the user does not say.

    Attributes:
        optimizer: how they are trained.
        classifiers: whether their classifiers are trained on, each class as often as another.
    """

    optimizer: ExpertOptimizer
    classifiers: bool = False


@dataclass(frozen=True)
class Scene:
    """The synthetic side at one step.

    Attributes:
        images: (C·per_class, channels, H, W) decoded, in [0, 1], class after class, neither normalised nor augmented.
            The method adds its loss's derivative to their ``grad``.
        per_class: decoded images per class.
        first: the class of the first of them.
        learned: tensors learned beside them, by name; their derivatives go to their ``grad`` likewise.
    """

    images: Tensor
    per_class: int
    learned: Mapping[str, Tensor] = field(default_factory=dict)
    first: int = 0

    @property
    def classes(self) -> int:
        """C."""
        return len(self.images) // self.per_class

    @property
    def labels(self) -> Tensor:
        """The class of every image, (C·per_class,) int64."""
        own = torch.arange(self.first, self.first + self.classes, device=self.images.device)
        return own.repeat_interleave(self.per_class)

    @property
    def own_classes(self) -> range:
        """The classes of the images."""
        return range(self.first, self.first + self.classes)

    def rows(self, label: int) -> slice:
        """Where the images of a class are."""
        place = label - self.first
        return slice(place * self.per_class, (place + 1) * self.per_class)


class LearningMethod(OptimisedMethod, ABC):
    """A method whose loss is of what networks learn from the synthetic images.

    Attributes:
        experts: whose way it follows, if any.
        takes_precision: whether its networks can compute in another precision.
    """

    experts: ClassVar[Experts | None] = None
    takes_precision: ClassVar[bool] = False
    coupled_by: str = "its network learns from the synthetic images of all of them"
    needs_teachers: ClassVar[bool] = False
    default_real_batch: ClassVar[int] = 256

    def require_points(self, points: int, classifier_points: int) -> None:
        """Hear how many points experts go on for, and their classifiers from there, before any is trained.

        Raises:
            UsageError: if it is further than that to what the method matches.
        """

    def starts_from(self, data: ImageSet) -> ImageSet:
        """Those of the real images that the synthetic ones start from; called after :meth:`prepare`."""
        return data

    def learned(self, images: Tensor) -> dict[str, Learned]:
        """The tensors learned beside the images, by name; called after :meth:`prepare`.

        Args:
            images: (C·per_class, channels, H, W) before the first step, in [0, 1].
        """
        return {}

    @abstractmethod
    def step(self, scene: Scene, step: int) -> dict[str, Tensor]:
        """Leave the step's derivatives in the scene's tensors.

        Returns:
            the named loss terms, detached: scalars; of a method that nothing couples one value per class, (C,).
        """

    def after_move(self, scene: Scene, step: int) -> None:
        """See the images after they moved, without a graph; for a method that ``needs_moved_images``."""


def add_gradient(leaf: Tensor, gradient: Tensor, rows: slice | None = None) -> None:
    """Add ``gradient`` to ``leaf.grad``, or to these rows of it."""
    if leaf.grad is None:
        leaf.grad = torch.zeros_like(leaf)
    leaf.grad[... if rows is None else rows] += gradient
