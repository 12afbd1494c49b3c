"""The statistics of a real class that a method asks for, and the batches in which it meets them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from csdm_cli.names import FrequencyRule, KernelName
from csdm_cli.spectral.characteristic import Ecf
from csdm_cli.storage.keys import module_hash
from csdm_cli.teachers.views import View


@dataclass(frozen=True)
class Spectrum:
    """Which frequencies a method looks at.

    Attributes:
        kernel, shape: whose spectral measure they come from.
        scale: the kernel's length, as a multiple of the median distance of real features unless ``absolute``.
        count: how many per view.
        rule: how they are spread over the measure.
        resample: whether every view has its own, or all share one set.
        absolute: whether ``scale`` is the length itself.
        mixture: kernels whose mean is looked at, of lengths an octave apart, with the scale in their middle.
        adaptive: whether each class is seen at a length of its own, the scale times its own median distance.
        raw: whether features are seen as they are, not normalised to length 1.
        block: block whose features are seen, which are the second half of those that the networks then give (see
            ``networks.blocks``); 0 for the networks' own.
    """

    kernel: KernelName
    shape: float
    scale: float
    count: int
    rule: FrequencyRule = FrequencyRule.monte_carlo
    resample: bool = True
    absolute: bool = False
    mixture: int = 1
    adaptive: bool = False
    raw: bool = False
    block: int = 0

    def seen(self, features: Tensor) -> Tensor:
        """Features (N, D) of either side as the frequencies and the median distance see them: (N, ``dim(D)``)."""
        own = features.chunk(2, dim=1)[1] if self.block else features
        return own if self.raw else normalize(own)

    def dim(self, feature_dim: int) -> int:
        """Length of what is seen of features of length ``feature_dim``, and of the frequencies."""
        return feature_dim // 2 if self.block else feature_dim


class ClassSummary(ABC):
    """A statistic of one class that a method defines for itself (a frozen dataclass); it can be banked."""

    name: ClassVar[str]

    @abstractmethod
    def of(self, features: Tensor, channels: int, seed: int) -> Tensor:
        """From the class's (n, D) features, flattened maps of ``channels``; every class's has the same shape.

        Whatever is random follows from ``seed``, which is the view's and the class's.
        """


@dataclass(frozen=True)
class Request:
    """The class statistics a method wants; all but ``features`` can be banked.

    Attributes:
        mean: means of the features.
        unit_mean: means of the features normalised to length 1.
        spectrum: characteristic functions of the features, normalised unless it is raw.
        summaries: statistics of the features that the method defines itself.
        features: the features of the real minibatch themselves.
        length: the kernel length for a method that has no spectrum.
    """

    mean: bool = False
    unit_mean: bool = False
    spectrum: Spectrum | None = None
    summaries: tuple[ClassSummary, ...] = ()
    features: bool = False
    length: bool = False

    def joined(self, other: Request) -> Request:
        """The union of this request and ``other``; one spectrum at most."""
        assert self.spectrum is None or other.spectrum is None or self.spectrum == other.spectrum
        return Request(
            self.mean or other.mean,
            self.unit_mean or other.unit_mean,
            self.spectrum or other.spectrum,
            tuple(dict.fromkeys(self.summaries + other.summaries)),
            self.features or other.features,
            self.length or other.length,
        )

    def described(self) -> dict[str, Any]:
        """As JSON values that change with anything the statistics depend on, the summaries' code included."""
        own = {summary.name: [asdict(summary), module_hash(type(summary))] for summary in self.summaries}  # type: ignore[call-overload]
        return asdict(self) | {"summaries": own}


@dataclass(frozen=True)
class ClassStatistics:
    """Statistics of c classes under one view; None where not requested.

    Attributes:
        mean, unit_mean: (c, D).
        ecf: characteristic functions at the view's K frequencies, (c, K).
        summaries: by name, each (c, …).
        features: one (n, D) tensor per class.
        length: the kernel length ℓ under this view's weights, for kernels that need it.
        counts: images that each class's statistics come from; None for whole classes.
        stretch: factor of the features that the spectrum sees before ``ecf``, (c,), for an adaptive one: ℓ
            over the class's own length.
    """

    mean: Tensor | None = None
    unit_mean: Tensor | None = None
    ecf: Ecf | None = None
    summaries: Mapping[str, Tensor] = field(default_factory=dict)
    features: Sequence[Tensor] | None = None
    length: float = 1.0
    counts: Sequence[int] | None = None
    stretch: Tensor | None = None

    def of(self, first: int, last: int) -> ClassStatistics:
        """The statistics of classes first … last-1."""
        part = slice(first, last)
        return ClassStatistics(
            mean=None if self.mean is None else self.mean[part],
            unit_mean=None if self.unit_mean is None else self.unit_mean[part],
            ecf=None if self.ecf is None else Ecf(self.ecf.re[part], self.ecf.im[part]),
            summaries={name: value[part] for name, value in self.summaries.items()},
            features=None if self.features is None else self.features[part],
            length=self.length,
            counts=None if self.counts is None else self.counts[part],
            stretch=None if self.stretch is None else self.stretch[part],
        )


@dataclass(frozen=True)
class Batch:
    """All synthetic images of the classes ``first`` … ``last``-1, seen through one view.

    Attributes:
        features: (c·per_class, D), class after class, with gradient.
        real: the same classes' real statistics.
        frequencies: (K, D), if the method asked for a spectrum.
        logits: (c·per_class, C) under the weights that :meth:`MatchingMethod.logits_stage` named, with gradient.
        channels: number of channels of the maps that features are flattened from: D = channels · positions.
        view: augmentation and network that the images are seen through.
    """

    first: int
    last: int
    per_class: int
    features: Tensor
    real: ClassStatistics
    frequencies: Tensor | None
    logits: Tensor | None = None
    channels: int = 1
    view: View | None = None

    @property
    def classes(self) -> int:
        return self.last - self.first

    def class_means(self, values: Tensor) -> Tensor:
        """Means per class of one row per image: (c·per_class, …) -> (c, …)."""
        return self.by_class(values).mean(1)

    def by_class(self, values: Tensor) -> Tensor:
        """One row per image as one block per class: (c·per_class, …) -> (c, per_class, …)."""
        return values.view(self.classes, self.per_class, *values.shape[1:])

    def distance_of_means(self) -> Tensor:
        """Σ_c ‖mean f(real_c) − mean f(synthetic_c)‖², which several methods start from: a scalar."""
        assert self.real.mean is not None, "the method did not ask for means"
        return (self.class_means(self.features) - self.real.mean).square().sum()

    def at_own_length(self, seen: Tensor) -> Tensor:
        """Seen features (c·per_class, D) as they meet ``frequencies``: each class at its own length, if any."""
        stretch = self.real.stretch
        return seen if stretch is None else seen * stretch.repeat_interleave(self.per_class)[:, None]

    @property
    def labels(self) -> Tensor:
        """The class of every image: (c·per_class,)."""
        classes = torch.arange(self.first, self.last, device=self.features.device)
        return classes.repeat_interleave(self.per_class)
