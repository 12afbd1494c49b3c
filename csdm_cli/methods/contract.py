"""The contract between a distillation method and the engine.

A matching method names the statistics it wants of each real class, and turns them and the synthetic
images' features into losses; the engine owns images, views, networks, chunks and the optimiser. A learning
method (see ``learning``) compares what networks learn from the images. A building method makes its images at
once. Adding a method is adding one file (see docs/methods.md).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods.statistics import Batch, ClassStatistics, Request
from csdm_cli.names import StoredLabels, TeacherSchedule
from csdm_cli.networks import NetworkSpec
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.teachers.networks import TeacherNetworks, TeacherStage
from csdm_cli.teachers.pool import TeacherPool
from csdm_cli.teachers.views import View

if TYPE_CHECKING:
    from csdm_cli.parameterisations.parameterisation import Parameterisation


def option(default: Any, help_text: str) -> Any:
    """A method's own parameter: its default, and what ``csdm methods NAME`` says of it."""
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True)
class Context:
    """The facts that an optimised method may know before the first step.

    Attributes:
        counts: real images per class.
        per_class: decoded synthetic images per class.
        seed: random seed of the run.
        pool: the teachers; None in tests of a loss alone, and for a method without any.
        data: the real images, on the device; None for a method that runs from a bank.
        spec: the architecture of the run's networks, where its teachers do not tell.
        numerics: how the networks of a learning method compute.
    """

    counts: tuple[int, ...]
    device: torch.device
    dtype: torch.dtype
    per_class: int = 1
    seed: int = 0
    pool: TeacherPool | None = None
    data: ImageSet | None = None
    spec: NetworkSpec | None = None
    numerics: Numerics = PLAIN


class Described:
    """The facts that every method tells about itself.

    Attributes:
        Parameters: a dataclass of its own parameters; all have defaults, made by :func:`option`.
        summary, source, cost: one line each, for ``csdm methods``.
        departures: differences from its paper under the common protocol, such as terms whose network is not there.
        default_labels: kind of its sets' labels.
        iterates: whether images are optimised, step by step, or else built at once.
        for_backbones: whether its paper has one network that is never trained; it takes teachers as well.
    """

    Parameters: ClassVar[type[Any]]
    summary: ClassVar[str]
    source: ClassVar[str]
    cost: ClassVar[str]
    departures: ClassVar[str] = "none"
    default_labels: ClassVar[StoredLabels] = StoredLabels.hard
    iterates: ClassVar[bool] = False
    for_backbones: ClassVar[bool] = False

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """Its paper's own settings by section of params.yaml, for ``--preset paper``; without what is left open."""
        return {}

    def idle_options(self) -> frozenset[str]:
        """Parameters that have no effect given the others; asking for them is an error."""
        return frozenset()


class OptimisedMethod(Described):
    """A method whose images are optimised, step by step.

    Attributes:
        coupled_by: the reason, in words, why classes cannot be optimised apart (under its parameters); empty where they
            can: the loss is a sum of functions of one class each.
        to_lower: the settings to lower when its derivatives are no longer finite.
        needs_teachers: whether it looks through networks trained on the long-tailed set.
        needs_moved_images: whether it sees the images again after they moved, in its ``after_move``.
        default_real_batch: real images per class and step, where it takes fresh ones and the user does not say.
    """

    coupled_by: str = ""
    iterates = True
    to_lower: ClassVar[str] = "--lr"
    needs_teachers: ClassVar[bool] = True
    needs_moved_images: bool = False
    default_real_batch: ClassVar[int] = 1024

    def __init__(self, parameters: Any) -> None:
        self.parameters = parameters

    def prepare(self, context: Context) -> None:  # a method need not
        """Called once before the first step (also of a resumed run)."""

    def after_step(self, step: int) -> None:
        """Called after every optimiser step."""

    def state_dict(self) -> dict[str, Tensor]:
        """Whatever is carried from step to step, so that a resumed run is exact."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take back what :meth:`state_dict` gave."""
        assert not state


class MatchingMethod(OptimisedMethod, ABC):
    """A method that makes statistics of the synthetic images, seen through networks, those of the real ones.

    Attributes:
        default_calibration: weight of the teachers' cross-entropy unless the user sets one.
        default_schedule: which of the teachers' weights it looks through unless the user says.
        couples_classes: whether :meth:`losses` must see all classes at once; then ``coupled_by`` says why.
        pools_real: whether :meth:`revise` makes a class's real statistics from other classes' too.
        classification_terms: terms of its own that match nothing but let a network classify the images, as
            calibration does; ``--calibration 1x`` is relative to the gradient of the others.
    """

    default_calibration: ClassVar[float] = 0.0
    default_schedule: ClassVar[TeacherSchedule] = TeacherSchedule.final
    couples_classes: bool = False
    pools_real: bool = False
    classification_terms: frozenset[str] = frozenset()

    @abstractmethod
    def request(self) -> Request:
        """The real-side statistics that :meth:`losses` reads."""

    @property
    def replayable(self) -> bool:
        """Whether :meth:`losses` of a view are the same work at every step, none of which the host looks at.

        Then a GPU may be given the step as a recording (see :mod:`csdm_cli.distillation.replay`).
        """
        return False

    @property
    def bankable(self) -> bool:
        """Whether those statistics can be computed once and kept."""
        return not self.request().features

    def revise(self, statistics: ClassStatistics) -> ClassStatistics:
        """The statistics for :meth:`losses` in place of a view's measured ``statistics``, which are of all classes.

        Called after :meth:`prepare`. A bank holds what was measured, whatever is made of it here.
        """
        return statistics

    def networks(self, shared: TeacherNetworks) -> TeacherNetworks:
        """The networks to look through: the teachers, or a method's own. Called after :meth:`prepare`."""
        return shared

    def logits_stage(self, view: View) -> TeacherStage | None:
        """Whose logits of the synthetic images :meth:`losses` reads under ``view``, if any."""
        return None

    @abstractmethod
    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Named scalars, each summed over the batch's classes; the engine minimises their sum."""

    def after_move(self, batch: Batch, step: int) -> None:
        """See the features of the images after they moved, without a graph; for a method that ``needs_moved_images``.

        The view is the step's, ``batch.logits`` is None. Called for every chunk of classes, before :meth:`after_step`.
        """


@dataclass(frozen=True)
class Building:
    """The input of a building method.

    Attributes:
        data: the long-tailed set, on the device.
        pool: the teachers, for a method that ``needs_teachers``.
        quiet: show no progress.
    """

    data: ImageSet
    ipc: int
    factor: int
    seed: int
    pool: TeacherPool | None = None
    quiet: bool = True


@dataclass(frozen=True)
class Outcome:
    """The images that a method made, at once or step by step.

    Attributes:
        images: (C·ipc, channels, size, size) in [0, 1], class after class, as they are stored; None where
            they are made of other ``leaves``.
        factor: cells per side of each.
        history: every loss term at every step, each (steps,); none of images made at once.
        iterations: optimiser steps of the whole run; after a resume that does not know how long the run took before,
            those of this process.
        earlier_seconds: that the run took before a resume, as far as is known.
        calibration: the weight that a ratio came to; None where a number was given.
        parameterisation: the parameterisation of ``leaves``; None where ``images`` are all.
        leaves: learned numbers by name, before they are quantised.
        label_logits: (C·per_class, C) logits of learned labels, one row for each decoded image.
        learned_rate: the step size that was learned for students of this set.
    """

    images: Tensor | None
    factor: int
    history: Mapping[str, Tensor] = field(default_factory=dict)
    iterations: int = 0
    earlier_seconds: float = 0.0
    calibration: float | None = None
    parameterisation: Parameterisation | None = None
    leaves: Mapping[str, Tensor] = field(default_factory=dict)
    label_logits: Tensor | None = None
    learned_rate: float | None = None


class BuildingMethod(Described, ABC):
    """A method that selects or assembles its images at once.

    Attributes:
        needs_teachers: whether it looks through the teachers.
        reads_factor: whether it can put factor² images into a stored one.
    """

    needs_teachers: ClassVar[bool] = False
    reads_factor: ClassVar[bool] = False

    def __init__(self, parameters: Any) -> None:
        self.parameters = parameters

    @abstractmethod
    def build(self, start: Building) -> Outcome:
        """Make the images."""


@dataclass(frozen=True)
class NoParameters:
    """The parameters of methods that have none of their own."""


Method = OptimisedMethod | BuildingMethod

MethodClass = type[OptimisedMethod] | type[BuildingMethod]


def parameter_names(cls: MethodClass) -> frozenset[str]:
    """The settings that belong to a method alone."""
    return frozenset(parameter.name for parameter in fields(cls.Parameters))
