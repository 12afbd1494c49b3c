"""The released loops' arithmetic of dc, dsa, idc and cafe: whole batches, one graph of all classes, torch's own layers.

Each has the images, draws and weights of a method of this package beside it, and gives the same derivative.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from csdm_cli.images.augment import Theta, augment
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.gradient.base import GradientMatching, one_draw_per_class, real_minibatch, synthetic_examples
from csdm_cli.methods.gradient.cafe import Cafe
from csdm_cli.methods.gradient.layers import activations
from csdm_cli.methods.learning import Scene
from csdm_cli.networks import build
from csdm_cli.seeds import derive_seed
from csdm_cli.training.batches import Batches
from csdm_cli.training.recipe import Recipe

M = TypeVar("M", GradientMatching, Cafe)


class Loop(ABC, Generic[M]):
    """A released loop beside ``method``, on the images of ``scene``; its network learns by SGD."""

    def __init__(self, method: M, scene: Scene, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        self.method, self.scene = method, scene
        self.network = build(method.spec, derive_seed(0, "net", 0))
        self.weights = list(self.network.parameters())
        rate = method.parameters.network_lr
        self.optimizer = torch.optim.SGD(self.weights, lr=rate, momentum=momentum, weight_decay=weight_decay)

    @abstractmethod
    def match(self, step: int) -> Tensor:
        """The images' derivative."""

    @abstractmethod
    def teach(self, step: int) -> None:
        """The network's work after a step of the images."""

    def see(self, images: Tensor, theta: Theta | None, label: int) -> Tensor:
        """The images of a class as the network sees them."""
        seen = normalise(images, self.method.data.mean, self.method.data.std)
        return seen if theta is None else augment(seen, theta.rows([label]))

    def learn(self, batches: Batches, turn: int) -> None:
        """A step of the network, on a whole batch."""
        images, targets = batches.at(turn)
        self.optimizer.zero_grad()
        cross_entropy(self.network(images), targets).backward()
        self.optimizer.step()


class GradientLoop(Loop[GradientMatching]):
    """dc, dsa and idc: class after class, the real gradient, then the synthetic one with its graph."""

    def __init__(self, method: GradientMatching, scene: Scene) -> None:
        super().__init__(method, scene, method.network_momentum, method.network_weight_decay)

    def match(self, step: int) -> Tensor:
        """The images' derivative, of the sum of all classes' distances."""
        data, total = self.method.data, torch.zeros(())
        theta = self.method.augmentation(step, data.classes)
        for label in range(data.classes):
            found = []
            real = self.method.real_images(label, step).float() / 255
            for own, graph in ((real, False), (self.scene.images[self.scene.rows(label)], True)):
                loss = cross_entropy(self.network(self.see(own, theta, label)), torch.full((len(own),), label))
                gradients = torch.autograd.grad(loss, self.weights, create_graph=graph)
                found.append({str(number): own for number, own in enumerate(gradients)})
            total = total + self.method.distance(found[0], found[1])
        (derivative,) = torch.autograd.grad(total, self.scene.images)
        return derivative

    def teach(self, step: int) -> None:
        """The network's steps."""
        given, own = self.method.parameters, self.method
        augmentation, cutmix = own.network_augmentation, own.network_cutmix
        recipe = Recipe("sgd", given.network_lr, 0.0, 0.0, given.network_batch, *augmentation, cutmix, "steps")
        batches = own.network_batches(self.scene, recipe, derive_seed(0, "network", step))
        for turn in range(given.inner):
            self.learn(batches, turn)


class CafeLoop(Loop[Cafe]):
    """cafe: the layers of every class, real ones without a graph, and one backward of the whole loss."""

    def __init__(self, method: Cafe, scene: Scene) -> None:
        super().__init__(method, scene)
        self._query = torch.cat(
            [method.data.of_class(label)[: method.parameters.query] for label in range(method.data.classes)]
        )

    def match(self, step: int) -> Tensor:
        """The images' derivative, of both terms of all classes."""
        data, given = self.method.data, self.method.parameters
        theta = one_draw_per_class(0, step, data.classes, given.augment, given.augment_mode)
        features, layers = [], []
        for label in range(data.classes):
            real = real_minibatch(data, label, given.real_batch, 0, step).float() / 255
            both = []
            for own, graph in ((real, False), (self.scene.images[self.scene.rows(label)], True)):
                with torch.set_grad_enabled(graph):
                    both.append(activations(self.network, self.see(own, theta, label)))
            features.append(both[0][-1])
            layers.append([(t.mean(0), s.mean(0)) for t, s in zip(*both, strict=True)])
        scale = [given.shallow, given.shallow, *[1.0] * (len(layers[0]) - 3), 2.0]
        alignment = sum(a * (t - s).square().sum() for own in layers for a, (t, s) in zip(scale, own, strict=True))
        centres = torch.stack([own[-1][1].flatten() for own in layers])
        entropies = [
            cross_entropy(own.flatten(1) @ centres.mT, torch.full((len(own),), label))
            for label, own in enumerate(features)
        ]
        loss = alignment + given.discrimination * given.real_batch * torch.stack(entropies).sum()
        (derivative,) = torch.autograd.grad(loss, self.scene.images)
        return derivative

    def teach(self, step: int) -> None:
        """The network's epochs, each with a look at the query images."""
        given, data = self.method.parameters, self.method.data
        recipe = Recipe("sgd", given.network_lr, 0.0, 0.0, given.network_batch, "none", "single", 0.0, "steps")
        examples = synthetic_examples(self.scene, data.mean, data.std)
        batches = Batches(examples, recipe, derive_seed(0, "network", step), data.classes)
        self._ask()
        epoch = -(-len(self.scene.images) // given.network_batch)
        for number in range(given.most_epochs):
            for turn in range(epoch):
                self.learn(batches, number * epoch + turn)
            self._ask()

    @torch.no_grad()
    def _ask(self) -> Tensor:
        """The network's answers to the query images, whole batches at a time."""
        data = self.method.data
        answers = [self.network(normalise(own, data.mean, data.std)).argmax(1) for own in self._query.split(256)]
        return torch.cat(answers)
