"""CAFE: alignment of features layer by layer, and discrimination (Wang et al., CVPR 2022)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from csdm_cli.errors import CsdmError
from csdm_cli.images.augment import Theta, augment
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.bounds import NonNegative, Rate, Several
from csdm_cli.methods.contract import Context, option
from csdm_cli.methods.gradient.base import (
    one_draw_per_class,
    real_minibatch,
    refuse_coupled_samples,
    synthetic_examples,
)
from csdm_cli.methods.gradient.layers import activations, class_means
from csdm_cli.methods.gradient.pooling import pool_quickly
from csdm_cli.methods.learning import LearningMethod, Scene, add_gradient
from csdm_cli.names import AugmentMode
from csdm_cli.networks import build
from csdm_cli.seeds import derive_seed, generator
from csdm_cli.training import losses
from csdm_cli.training.batches import Batches
from csdm_cli.training.inference import images_at_once, predict
from csdm_cli.training.loop import TrainState, backward
from csdm_cli.training.recipe import Recipe

ALIGNMENT, DISCRIMINATION = "alignment", "discrimination"
SHALLOW = 2  # layers whose weight is an option


@dataclass(frozen=True)
class CafeParameters:
    """Options of cafe."""

    real_batch: int
    augment: str
    augment_mode: AugmentMode
    discrimination: NonNegative = option(0.01, "β: weight of the discrimination, a sum over real images")
    layers: Literal["all", "last"] = option("all", "whose means are aligned; last takes the encoder's output, once")
    shallow: NonNegative = option(0.1, "weight of the first two layers, where the others have 1 and the last 2")
    window: Several = option(10, "latest accuracies whose range decides when a loop ends")
    settled: Rate = option(0.04, "λ1: a network is dropped when its accuracies after steps of the images vary by less")
    moved: NonNegative = option(0.03, "λ2: it learns between two of them until its accuracies vary by more")
    most_steps: Several = option(20, "steps of the images per network at most")
    most_epochs: Several = option(50, "epochs of the network between two of them at most")
    query: Several = option(128, "real images per class that accuracy is measured on, the same all along")
    network_lr: Rate = option(0.01, "learning rate of the network, plain SGD")
    network_batch: Several = option(256, "synthetic images per step of the network")


class Cafe(LearningMethod):
    """Σ_l a_l Σ_c ‖mean f_l(T_c) − mean f_l(S_c)‖² + β·Σ_x CE(⟨f(x), mean f(S_k)⟩ over k, class of x).

    f_l is the output of layer l's ReLU before pooling, f that of the encoder. The network learns from the synthetic
    images between their steps: how long, and when a new one comes, follows from its accuracy on a fixed set of real
    images, in which all classes count alike.
    """

    to_lower = "--lr, or --option network_lr"
    needs_moved_images = True
    Parameters = CafeParameters
    parameters: CafeParameters
    summary = "matching of class means in every layer, and discrimination of real images by them"
    source = "Wang et al., CVPR 2022, arXiv 2203.01531"
    cost = (
        "per step a forward of real_batch real images per class, two forwards and a backward of the synthetic ones, a"
        " forward of query real images per class after it and after every epoch of the network, 10 to 50 of them"
    )
    departures = (
        "accuracy is measured on fixed images; both loops are capped; a class with fewer than real_batch images weighs"
        " as one with as many; without the cross-entropy of real images, which does not reach the pixels; pixels are"
        " clamped to [0, 1]"
    )

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """2,000 networks of at least ten steps each; a rate of 0.1 for pixels divided by σ is 0.004 with σ of 0.2."""
        return {
            "distill": {"iterations": 20_000, "optimizer": "sgd", "lr": 0.004, "schedule": "constant"}
            | {"factor": 1, "initial": "noise", "real_batch": 256, "augment": "none"}
        }

    def prepare(self, context: Context) -> None:
        assert context.spec is not None and context.data is not None
        self.context, self.data, self.spec = context, context.data, context.spec
        self._query = [self._query_of(label) for label in range(self.data.classes)]
        self._begin(0)
        refuse_coupled_samples(self._network)

    def step(self, scene: Scene, step: int) -> dict[str, Tensor]:
        operations, mode = self.parameters.augment, self.parameters.augment_mode
        theta = one_draw_per_class(self.context.seed, step, scene.classes, operations, mode)
        real, features = self._real_side(scene, theta, step)
        synthetic = [mean.requires_grad_(True) for mean in self._synthetic_means(scene, theta)]
        with torch.enable_grad():
            terms = self._terms(real, features, synthetic)
            whole = torch.stack(list(terms.values())).sum()
        if not bool(whole.isfinite()):
            raise CsdmError(f"cafe's loss is {float(whole)}: lower {self.to_lower}")
        wanted = torch.autograd.grad(whole, synthetic, materialize_grads=True)
        for label in range(scene.classes):
            self._send_back(scene, theta, label, [layer[label] for layer in wanted])
        return {name: term.detach() for name, term in terms.items()}

    def after_move(self, scene: Scene, step: int) -> None:
        p = self.parameters
        self._measured.append(self._accuracy())
        if _range(self._measured, p.window) < p.settled or len(self._measured) >= p.most_steps:
            self._begin(self._round + 1)
            return
        recipe = Recipe("sgd", p.network_lr, 0.0, 0.0, p.network_batch, "none", "single", 0.0, "steps")
        seed = derive_seed(self.context.seed, "network", step)
        batches = Batches(synthetic_examples(scene, self.data.mean, self.data.std), recipe, seed, scene.classes)
        epoch = -(-len(scene.images) // p.network_batch)
        learned: list[float] = []
        while len(learned) < p.most_epochs and not p.moved < _range(learned, p.window) < math.inf:
            for turn in range(epoch):
                images, targets = batches.at(len(learned) * epoch + turn)
                backward(self._network, images, targets, losses.cross_entropy)
                self._optimizer.step()
            learned.append(self._accuracy())
        self._epochs = len(learned)

    def state_dict(self) -> dict[str, Tensor]:
        state = TrainState.capture(0, self._network, self._optimizer).tensors
        measured = torch.tensor(self._measured, dtype=torch.float64)
        return state | {"round": torch.tensor(self._round), "measured": measured}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        own = dict(state)
        self._begin(int(own.pop("round")))
        self._measured = own.pop("measured").tolist()
        TrainState(0, own).restore(self._network, self._optimizer)

    def _begin(self, number: int) -> None:
        """A new network, of round ``number``, of which nothing is measured yet."""
        self._round, self._measured = number, []
        network = pool_quickly(build(self.spec, derive_seed(self.context.seed, "net", number)))
        network.eval()  # without dropout, which would differ from pass to pass
        self._network = network.to(device=self.context.device, dtype=self.context.dtype)
        self._optimizer = torch.optim.SGD(self._network.parameters(), lr=self.parameters.network_lr)

    def _see(self, images: Tensor, theta: Theta | None, label: int) -> Tensor:
        seen = normalise(images, self.data.mean, self.data.std)
        return seen if theta is None else augment(seen, theta.rows([label]))

    def _real_side(self, scene: Scene, theta: Theta | None, step: int) -> tuple[list[Tensor], list[Tensor]]:
        """Means of every layer, each (C, …), and the encoder's output per class, each (n_c, D)."""
        means, features = [], []
        for label in range(scene.classes):
            own = real_minibatch(self.data, label, self.parameters.real_batch, self.context.seed, step)
            seen = self._see(own.to(self.context.dtype) / 255, theta, label)
            layers, outputs = class_means(self._network, seen, images_at_once(seen))
            means.append(layers)
            features.append(outputs.flatten(1))
        return [torch.stack(layer) for layer in zip(*means, strict=True)], features

    def _synthetic_means(self, scene: Scene, theta: Theta | None) -> list[Tensor]:
        """Means of every layer, each (C, …)."""
        means = []
        for label in range(scene.classes):
            seen = self._see(scene.images.detach()[scene.rows(label)], theta, label)
            means.append(class_means(self._network, seen, images_at_once(seen))[0])
        return [torch.stack(layer) for layer in zip(*means, strict=True)]

    def _terms(self, real: list[Tensor], features: list[Tensor], synthetic: list[Tensor]) -> dict[str, Tensor]:
        """Both terms, of the layers' real and synthetic means, each (C, …), and the real features per class."""
        depth, p = len(real) - 1, self.parameters
        weights = [p.shallow] * min(SHALLOW, depth) + [1.0] * (depth - SHALLOW) + [2.0]
        if p.layers == "last":
            weights = [0.0] * depth + [1.0]
        distances = [a * (t - s).square().sum() for a, t, s in zip(weights, real, synthetic, strict=True) if a]
        centres = synthetic[-1].flatten(1)  # (C, D)
        entropies = [
            cross_entropy(own @ centres.mT, torch.full((len(own),), label, device=own.device))
            for label, own in enumerate(features)
        ]
        scale = p.discrimination * p.real_batch
        return {ALIGNMENT: torch.stack(distances).sum(), DISCRIMINATION: scale * torch.stack(entropies).sum()}

    def _send_back(self, scene: Scene, theta: Theta | None, label: int, wanted: list[Tensor]) -> None:
        """Add to the images of a class what the derivatives ``wanted`` in their layers' means give, piece by piece."""
        own = scene.images.detach()[scene.rows(label)]
        found = []
        for piece in own.split(images_at_once(own)):
            leaf = piece.requires_grad_(True)
            with torch.enable_grad():
                layers = activations(self._network, self._see(leaf, theta, label))
                inner = [(v * f.sum(0)).sum() / len(own) for v, f in zip(wanted, layers, strict=True)]
                found += torch.autograd.grad(torch.stack(inner).sum(), leaf)
        add_gradient(scene.images, torch.cat(found), scene.rows(label))

    def _query_of(self, label: int) -> Tensor:
        """The real images of a class that accuracy is measured on."""
        images = self.data.of_class(label)
        rng = generator(self.context.seed, "query", label)
        return images[torch.randperm(len(images), generator=rng)[: self.parameters.query].to(images.device)]

    def _accuracy(self) -> float:
        """The mean over classes of the network's accuracy on their query images."""
        mean, std = self.data.mean, self.data.std
        right = [
            (predict(self._network, own, mean, std).argmax(1) == label).double().mean()
            for label, own in enumerate(self._query)
        ]
        return float(torch.stack(right).mean())


def _range(values: list[float], window: int) -> float:
    """The range of the latest ``window`` values; infinite while there are fewer."""
    latest = values[-window:]
    return max(latest) - min(latest) if len(latest) == window else math.inf
