"""LGM: linear gradient matching for frozen backbones (NeurIPS 2025, arXiv 2511.16674)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cosine_similarity, one_hot

from csdm_cli.device import to_device
from csdm_cli.errors import CsdmError
from csdm_cli.images.augment import Theta, augment, draw, parse_strategy
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.contract import Context, option
from csdm_cli.methods.learning import LearningMethod, Scene, add_gradient
from csdm_cli.names import AugmentMode
from csdm_cli.networks.network import Network
from csdm_cli.seeds import derive_seed, generator
from csdm_cli.teachers.networks import PoolNetworks
from csdm_cli.training.inference import images_at_once
from csdm_cli.training.sampling import Shuffled


@dataclass(frozen=True)
class LgmParameters:
    """Options of lgm."""

    real_batch: int
    augment: str
    augment_mode: AugmentMode
    copies: Annotated[int, Field(ge=1, le=1000)] = option(10, "augmented copies of every synthetic image per step")
    deviation: Annotated[float, Field(gt=0)] = option(0.01, "of the random classifier's weights, new in every step")
    sampling: Literal["balanced", "shuffle"] = option(
        "balanced", "of the real images: as many of each class (drawn with replacement), or from the set as it is"
    )


class Lgm(LearningMethod):
    """1 − cos(∇ of cross-entropy on real images, ∇ on synthetic ones), the gradients those of a linear classifier.

    The classifier reads the features of a frozen network. It is new in every step: weights W ~ N(0, 0.01²), bias 0.
    Its gradient in weights and bias of all classes is one vector, and there is one cosine. Every image has an
    augmentation of its own. The network is passed through twice, a few images at a time: once for the features, whose
    derivative then is a closed form, and once to take it to the pixels; so that memory does not grow with the images.
    """

    Parameters = LgmParameters
    summary = "matching of a random linear classifier's gradient, for frozen backbones"
    source = "NeurIPS 2025, arXiv 2511.16674"
    cost = "per step copies passes forward, forward and backward of the synthetic images, and a real minibatch"
    for_backbones = True
    departures = (
        "pixels in place of the pyramid unless it is asked for; the augmentations shared by all methods, without the"
        " paper's noise"
    )
    coupled_by = "one gradient is of a classifier of all of them"
    needs_teachers: ClassVar[bool] = True
    default_real_batch: ClassVar[int] = 10
    parameters: LgmParameters

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """As many real images as synthetic copies. The rate, 0.002, is of a pyramid's coefficients, and left out."""
        distill = {"iterations": 5000, "optimizer": "adam", "schedule": "constant", "factor": 1}
        return {"distill": distill | {"real_batch": 10 * ipc, "augment": "flip_crop_scale", "augment_mode": "compose"}}

    def prepare(self, context: Context) -> None:
        assert context.data is not None and context.pool is not None
        self._context, self._data = context, context.data
        self._networks = PoolNetworks(context.pool, context.device, context.dtype)
        self._strategy = parse_strategy(self.parameters.augment)
        real = min(self.parameters.real_batch * context.data.classes, len(context.data.images))
        self._order = Shuffled(len(context.data.images), real, derive_seed(context.seed, "real"))

    def step(self, scene: Scene, step: int) -> dict[str, Tensor]:
        network = self._networks.final(step % len(self._networks))
        rng = generator(self._context.seed, "classifier", step)
        weights = torch.randn(scene.classes, network.feature_dim, generator=rng, dtype=torch.float64)
        weights = to_device(self.parameters.deviation * weights, scene.images.device).to(scene.images)
        goal = self._of_real_images(network, weights, step)
        views = [self._theta(len(scene.images), step, f"copy {copy}") for copy in range(self.parameters.copies)]
        loss, slopes = self._match(network, weights, goal, scene, views)
        for theta, slope in zip(views, slopes.split(len(scene.images)), strict=True):
            self._to_pixels(network, scene, theta, slope)
        if not bool(loss.isfinite()):
            raise CsdmError(f"the distance of the gradients is {float(loss)}: lower {self.to_lower}")
        return {"gradient": loss}

    @torch.no_grad()
    def _of_real_images(self, network: Network, weights: Tensor, step: int) -> Tensor:
        index = to_device(self._drawn(step), self._data.images.device)
        theta, parts = self._theta(len(index), step, "real"), []
        for rows in _pieces(network, self._data.images[:1], len(index)):
            images = normalise(self._data.images[index[rows]].to(weights.dtype) / 255, self._data.mean, self._data.std)
            parts.append(network.features(augment(images, theta.rows(rows))))
        return classifier_gradient(torch.cat(parts), self._data.labels[index], weights)

    def _match(
        self, network: Network, weights: Tensor, goal: Tensor, scene: Scene, views: list[Theta]
    ) -> tuple[Tensor, Tensor]:
        """The loss, and its derivative in the features (copies·C·per_class, D) of all copies."""
        with torch.no_grad():
            parts = [
                network.features(self._see(scene.images[rows], theta, rows))
                for theta in views
                for rows in _pieces(network, scene.images, len(scene.images))
            ]
        features = torch.cat(parts).requires_grad_(True)
        with torch.enable_grad():
            own = classifier_gradient(features, scene.labels.repeat(len(views)), weights)
            loss = 1 - cosine_similarity(goal.flatten(), own.flatten(), dim=0)
        (slopes,) = torch.autograd.grad(loss, features)
        return loss.detach(), slopes

    def _to_pixels(self, network: Network, scene: Scene, theta: Theta, slopes: Tensor) -> None:
        """Take the derivative in one copy's features (C·per_class, D) to the images."""
        for rows in _pieces(network, scene.images, len(scene.images)):
            own = scene.images.detach()[rows].requires_grad_(True)
            with torch.enable_grad():
                features = network.features(self._see(own, theta, rows))
            (derivative,) = torch.autograd.grad(features, own, slopes[rows])
            add_gradient(scene.images, derivative, rows)

    def _see(self, images: Tensor, theta: Theta, rows: slice) -> Tensor:
        return augment(normalise(images, self._data.mean, self._data.std), theta.rows(rows))

    def _theta(self, count: int, step: int, which: str) -> Theta:
        """A row for each of so many images."""
        rng = generator(self._context.seed, "augment", step, which)
        return draw(rng, count, self._strategy, self.parameters.augment_mode)

    def _drawn(self, step: int) -> Tensor:
        """Real images of a step, by their place in the set."""
        if self.parameters.sampling == "shuffle":
            return self._order(step)
        rng, data, each = generator(self._context.seed, "real", step), self._data, self.parameters.real_batch
        drawn = [torch.randint(count, (each,), generator=rng) for count in data.counts]
        return torch.cat([first + of_class for first, of_class in zip(data.offsets, drawn, strict=False)])


def classifier_gradient(features: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """∇ of the mean cross-entropy in (W, b) at W = ``weights`` (C, D), b = 0: (C, D + 1).

    Its row c is the mean of (softmax(W z)_c − [y = c])·(z, 1) over features z (N, D) with labels y (N,).
    """
    errors = (features @ weights.T).softmax(1) - one_hot(labels, len(weights)).to(features)
    return torch.cat([errors.T @ features, errors.sum(0)[:, None]], 1) / len(features)


def _pieces(network: Network, images: Tensor, count: int) -> Iterator[slice]:
    """Rows of ``count`` images like ``images`` (N, channels, H, W), as many as ``network`` computes together."""
    size = images_at_once(images, network)
    return (slice(first, min(first + size, count)) for first in range(0, count, size))
