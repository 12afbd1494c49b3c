"""The real side of the matching losses: statistics of each real class, seen through a view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import normalize

from csdm_cli.device import to_device
from csdm_cli.images.augment import Theta, augment
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.statistics import ClassStatistics, Request, Spectrum
from csdm_cli.names import KernelName
from csdm_cli.networks.network import Network
from csdm_cli.seeds import derive_seed, generator
from csdm_cli.spectral.characteristic import EcfSum
from csdm_cli.spectral.kernels import median_distance, relative_lengths, sample_frequencies
from csdm_cli.teachers.networks import TeacherNetworks
from csdm_cli.teachers.views import View, Views
from csdm_cli.training.inference import images_at_once

# Real images whose median feature distance sets the kernel's length.
REFERENCE_IMAGES = 512
# Real images of a class whose median feature distance sets the class's own length, at least (if there are as many).
OWN_IMAGES = 64
# Images whose features are projected onto the frequencies in one product: these are read from memory once for all.
BLOCK = 256


@dataclass(frozen=True)
class Target:
    """The target of one step."""

    view: View
    statistics: ClassStatistics
    frequencies: Tensor | None


class RealSide(Protocol):
    """Gives every step its view and the real statistics under it."""

    def at(self, step: int) -> Target:
        """The target of step ``step``."""
        ...


Revision = Callable[[ClassStatistics], ClassStatistics]


def as_measured(statistics: ClassStatistics) -> ClassStatistics:
    """No revision."""
    return statistics


class FreshRealSide:
    """Statistics of fresh real minibatches: ``batch`` images per class and step, without replacement.

    Where only the classes ``own`` will be asked for, one image stands for each of the others. ``revise`` is applied
    to the statistics of all classes.
    """

    def __init__(
        self,
        data: ImageSet,
        networks: TeacherNetworks,
        views: Views,
        request: Request,
        batch: int,
        seed: int,
        dtype: torch.dtype,
        own: range | None = None,
        revise: Revision = as_measured,
    ) -> None:
        self._data, self._networks, self._views, self._request = data, networks, views, request
        self._batch, self._seed, self._dtype = batch, seed, dtype
        self._own = range(data.classes) if own is None else own
        self._revise = revise
        self._lengths: dict[object, KernelLength] = {}

    def at(self, step: int) -> Target:
        """A view of its own, and the statistics of a minibatch of each class under it."""
        view = self._views.at(step)
        network = self._networks.at(view.teacher, view.stage)
        rng = generator(self._seed, "minibatch", step)
        picked = [self._pick(label, rng) for label in range(self._data.classes)]
        length = self._length(network, view)
        frequencies = draw_frequencies(
            self._request.spectrum, network, view, length.pooled, self._data.images.device, self._dtype
        )
        viewed = ViewedNetwork(network, view, self._networks.channels, frequencies, length.stretch)
        statistics = class_statistics(viewed, self._data, picked, self._request, self._dtype)
        return Target(view, self._revise(replace(statistics, length=length.pooled)), frequencies)

    def _pick(self, label: int, rng: torch.Generator) -> Tensor:
        images = self._data.of_class(label)
        chosen = torch.randperm(len(images), generator=rng)[: self._batch if label in self._own else 1]
        return images[to_device(chosen, images.device)]

    def _length(self, network: Network, view: View) -> KernelLength:
        stage = (view.teacher, view.stage)
        if stage not in self._lengths:
            self._lengths[stage] = measure_length(network, self._data, self._request, self._dtype)
        return self._lengths[stage]


def draw_frequencies(
    spectrum: Spectrum | None, network: Network, view: View, length: float, device: torch.device, dtype: torch.dtype
) -> Tensor | None:
    """A view's frequencies (K, D), drawn on ``device`` from the view's seed; None without a spectrum."""
    if spectrum is None:
        return None
    rng = torch.Generator(device=device).manual_seed(view.frequency_seed)
    frequencies = sample_frequencies(
        spectrum.kernel,
        spectrum.count,
        spectrum.dim(network.feature_dim),
        length,
        spectrum.shape,
        rng,
        dtype=dtype,
        rule=spectrum.rule,
    )
    if spectrum.mixture == 1:
        return frequencies
    return frequencies.div_(relative_lengths(spectrum.count, spectrum.mixture).to(frequencies))


@dataclass(frozen=True)
class KernelLength:
    """How far a kernel reaches under a network.

    Attributes:
        pooled: ℓ, for all classes.
        stretch: ℓ over each class's own length, (C,), for an adaptive spectrum.
    """

    pooled: float
    stretch: Tensor | None = None


def measure_length(network: Network, data: ImageSet, request: Request, dtype: torch.dtype) -> KernelLength:
    """See :func:`kernel_length` and :func:`class_stretch`."""
    pooled = kernel_length(network, data, request, dtype)
    adaptive = request.spectrum is not None and request.spectrum.adaptive
    return KernelLength(pooled, class_stretch(network, data, request, pooled, dtype) if adaptive else None)


def kernel_length(network: Network, data: ImageSet, request: Request, dtype: torch.dtype) -> float:
    """ℓ: the scale times the median distance between features of unaugmented real images, as the spectrum sees them.

    Every class gives the same number of images, so that the head does not decide alone. Without a
    spectrum the scale is left to the method, and the median of normalised ones alone is returned if it wants one.
    """
    if request.spectrum is not None and request.spectrum.absolute:
        return request.spectrum.scale
    if request.spectrum is None and not request.length:
        return 1.0
    share = max(2, REFERENCE_IMAGES // data.classes)
    images = torch.cat([data.of_class(label)[:share] for label in range(data.classes)])
    kernel = request.spectrum.kernel if request.spectrum else KernelName.rbf
    scale = request.spectrum.scale if request.spectrum else 1.0
    return scale * median_distance(_seen_features(network, images, data, request, dtype), kernel)


def class_stretch(network: Network, data: ImageSet, request: Request, length: float, dtype: torch.dtype) -> Tensor:
    """ℓ/ℓ_c of every class, (C,), where ℓ_c is ℓ with the class's own median distance instead of the pooled one.

    A kernel of length ℓ_c between features is one of length ℓ between features times this. A class of a single image
    has no distance, and keeps ℓ.
    """
    assert request.spectrum is not None and not request.spectrum.absolute
    share = max(OWN_IMAGES, REFERENCE_IMAGES // data.classes)
    stretch = torch.ones(data.classes, dtype=dtype)
    for label in range(data.classes):
        images = data.of_class(label)[:share]
        if len(images) > 1:
            seen = _seen_features(network, images, data, request, dtype)
            own = median_distance(seen, request.spectrum.kernel)
            stretch[label] = length / (request.spectrum.scale * own)
    return to_device(stretch, data.images.device)


@torch.no_grad()
def _seen_features(network: Network, images: Tensor, data: ImageSet, request: Request, dtype: torch.dtype) -> Tensor:
    """Features of real images without augmentation, as the spectrum sees them; normalised without one."""
    parts = images.split(images_at_once(images, network))
    features = [network.features(normalise(_as_float(part, dtype), data.mean, data.std)) for part in parts]
    whole = torch.cat(features)
    return request.spectrum.seen(whole) if request.spectrum else normalize(whole)


@dataclass(frozen=True)
class ViewedNetwork:
    """A network and a view that real images are looked at through.

    Attributes:
        network: with the view's weights.
        channels: number of channels of the maps its features are flattened from.
        frequencies: (K, D), or None.
        stretch: factor of what the spectrum sees of each class before it meets the frequencies, if any.
    """

    network: Network
    view: View
    channels: int
    frequencies: Tensor | None
    stretch: Tensor | None = None


def class_statistics(
    viewed: ViewedNetwork, data: ImageSet, images: Sequence[Tensor], request: Request, dtype: torch.dtype
) -> ClassStatistics:
    """Statistics of ``images``, each class seen through its row of the view's θ.

    One streaming pass: few images' activations exist at a time. Sums are float64.

    Args:
        viewed: the network with its view, its frequencies (K, D) and stretch (C,).
        data: whose normalisation and device it is.
        images: C classes' uint8 images, (n_c, channels, H, W) each.
        request: which statistics.
        dtype: type of features and results.
    """
    device = data.images.device
    classes, dim = len(images), viewed.network.feature_dim
    means = torch.zeros(2, classes, dim, dtype=torch.float64, device=device)  # (2, C, D)
    ecf_sum = None if viewed.frequencies is None else EcfSum(viewed.frequencies, classes)
    whole: list[Tensor] = []  # of each class (n_c, D)
    summaries: dict[str, list[Tensor]] = {summary.name: [] for summary in request.summaries}  # (…) each
    for label, of_class in enumerate(images):
        parts = []
        for block in of_class.split(max(BLOCK, images_at_once(of_class, viewed.network))):
            pieces = block.split(images_at_once(block, viewed.network))  # (m, channels, H, W) each
            theta = viewed.view.theta
            seen = [view_features(viewed.network, _as_float(piece, dtype), data, theta, label) for piece in pieces]
            features = torch.cat(seen)  # (b, D), of a block of b images
            if request.mean:
                means[0, label] += features.sum(0, dtype=torch.float64)
            if request.unit_mean:
                means[1, label] += normalize(features).sum(0, dtype=torch.float64)
            if ecf_sum is not None and request.spectrum is not None:
                own = request.spectrum.seen(features)  # (b, D)
                ecf_sum.add(own if viewed.stretch is None else own * viewed.stretch[label], label)
            if request.features or request.summaries:
                parts.append(features)
        for summary in request.summaries:
            seed = derive_seed(viewed.view.frequency_seed, "summary", label)
            summaries[summary.name].append(summary.of(torch.cat(parts), viewed.channels, seed))
        if request.features:
            whole.append(torch.cat(parts))
    counts = to_device(torch.tensor([len(part) for part in images], dtype=torch.float64), device)  # (C,)
    means = (means / counts.view(1, -1, 1)).to(dtype)  # (2, C, D)
    return ClassStatistics(
        mean=means[0] if request.mean else None,
        unit_mean=means[1] if request.unit_mean else None,
        ecf=None if ecf_sum is None else ecf_sum.result(),
        summaries={name: torch.stack(values) for name, values in summaries.items()},
        features=whole if request.features else None,
        counts=[len(part) for part in images],
        stretch=viewed.stretch,
    )


@torch.no_grad()
def view_features(network: Network, images: Tensor, data: ImageSet, theta: Theta, label: int) -> Tensor:
    """Features (n, D) of one class's images, float in [0, 1], through the class's augmentation."""
    return network.features(augment(normalise(images, data.mean, data.std), theta.rows([label])))


def _as_float(images: Tensor, dtype: torch.dtype) -> Tensor:
    return images.to(dtype) / 255
