"""The parts that methods of gradient matching share: a network that learns meanwhile, and a distance per class."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.images.augment import Theta, augment
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.contract import Context, option
from csdm_cli.methods.gradient.distances import Distance
from csdm_cli.methods.gradient.matched import match_gradients
from csdm_cli.methods.learning import LearningMethod, Scene, add_gradient
from csdm_cli.networks import build
from csdm_cli.networks.network import Network
from csdm_cli.seeds import derive_seed, generator
from csdm_cli.training.batches import Batches, Examples
from csdm_cli.training.inference import images_at_once
from csdm_cli.training.loop import TrainState, backward
from csdm_cli.training.losses import cross_entropy
from csdm_cli.training.recipe import Recipe
from csdm_cli.training.second_order import Objective, Weights, gradient, hard

Several = Annotated[int, Field(ge=1, le=10**6)]
Some = Annotated[int, Field(ge=0, le=10**6)]
Rate = Annotated[float, Field(gt=0, le=1e6)]

MATCHING = "matching"


@dataclass(frozen=True)
class Rounds:
    """Parameters of a network that is made anew, learns between the steps, and is dropped."""

    real_batch: int
    outer: Some = option(0, "steps of the images per network (0: 1 at one image per class, 10 up to 10, else 50)")
    inner: Some = option(0, "steps of the network between two of the images (0: 1, 50 or 10, likewise)")
    network_lr: Rate = option(0.01, "learning rate of the network, SGD of momentum 0.5")
    network_batch: Several = option(256, "images per step of the network")


class GradientMatching(LearningMethod):
    """Σ_c D(∇θ CE(real images of c), ∇θ CE(synthetic images of c)), at the weights of a network that learns meanwhile.

    A network from a random start is looked at for ``outer`` steps of the images, and takes ``inner`` steps of its own
    after each but the last; then a new one comes. What is random in a step follows from the seed and the step's number.
    """

    class_separable = False  # the network learns from all classes
    Parameters: ClassVar[type[Rounds]]
    parameters: Rounds

    @property
    @abstractmethod
    def distance(self) -> Distance:
        """D."""

    def augmentation(self, step: int, classes: int) -> Theta | None:
        """A row for each class, applied to its real and its synthetic images alike; None for none."""
        return None

    @abstractmethod
    def network_batches(self, scene: Scene, recipe: Recipe, seed: int) -> Batches:
        """The batches that the network learns from after a step."""

    @property
    def network_augmentation(self) -> tuple[str, str]:
        """How the network's own batches are augmented: operations, and their mode."""
        return "none", "single"

    def prepare(self, context: Context) -> None:
        assert context.spec is not None and context.data is not None
        self.context, self.data, self.spec = context, context.data, context.spec
        self._outer, self._inner = rounds_of(self.parameters, context.per_class)
        self._begin(0)
        if self._network.couples_samples:
            raise UsageError(
                "gradient matching sums over single images, which batch normalisation couples: choose --norm instance,"
                " or a network without batch normalisation"
            )

    def step(self, scene: Scene, step: int) -> dict[str, Tensor]:
        if step // self._outer != self._round:
            self._begin(step // self._outer)
        weights: Weights = {name: value.detach() for name, value in self._network.named_parameters()}
        objective = Objective(self._network, hard, images_at_once(scene.images))
        theta = self.augmentation(step, scene.classes)
        total = scene.images.new_zeros(())
        for label in range(scene.classes):
            total += self._match(scene, objective, weights, theta, label, step)
        if not bool(total.isfinite()):
            raise CsdmError(f"the distance of the gradients is {float(total)}: lower --lr, or --option network_lr")
        return {MATCHING: total}

    def after_move(self, scene: Scene, step: int) -> None:
        if (step + 1) % self._outer == 0:
            return  # the network has been looked at for the last time
        operations, mode = self.network_augmentation
        batch = self.parameters.network_batch
        recipe = Recipe("sgd", self.parameters.network_lr, 0.5, 0.0, batch, operations, mode, 0.0, "steps")
        batches = self.network_batches(scene, recipe, derive_seed(self.context.seed, "network", step))
        for turn in range(self._inner):
            images, targets = batches.at(turn)
            backward(self._network, images, targets, cross_entropy)
            self._optimizer.step()

    def state_dict(self) -> dict[str, Tensor]:
        state = TrainState.capture(0, self._network, self._optimizer).tensors
        return state | {"round": torch.tensor(self._round)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        own = dict(state)
        self._begin(int(own.pop("round")))
        TrainState(0, own).restore(self._network, self._optimizer)

    def real_images(self, label: int, step: int) -> Tensor:
        """Fresh real images of a class, (n, channels, H, W) uint8."""
        images = self.data.of_class(label)
        rng = generator(self.context.seed, "minibatch", step, label)
        return images[torch.randperm(len(images), generator=rng)[: self.parameters.real_batch].to(images.device)]

    def _match(
        self, scene: Scene, objective: Objective, weights: Weights, theta: Theta | None, label: int, step: int
    ) -> Tensor:
        """Add a class's derivative to the images; its distance, a scalar."""

        def see(images: Tensor) -> Tensor:
            seen = normalise(images, self.data.mean, self.data.std)
            return seen if theta is None else augment(seen, theta.rows([label]))

        real = see(self.real_images(label, step).to(self.context.dtype) / 255)
        goal = gradient(objective, weights, real, self._classes(label, len(real)))
        own = scene.images.detach()[scene.rows(label)].requires_grad_(True)
        seen = see(own)
        matched = match_gradients(self.distance, goal, objective, weights, seen, self._classes(label, len(own)))
        (derivative,) = torch.autograd.grad(seen, own, matched.images)
        add_gradient(scene.images, derivative, scene.rows(label))
        return matched.distance

    def _classes(self, label: int, count: int) -> Tensor:
        return torch.full((count,), label, device=self.context.device)

    def _begin(self, number: int) -> None:
        """A new network, of round ``number``."""
        self._round = number
        network = build(self.spec, derive_seed(self.context.seed, "net", number))
        self._network: Network = network.to(device=self.context.device, dtype=self.context.dtype)
        self._optimizer = torch.optim.SGD(self._network.parameters(), lr=self.parameters.network_lr, momentum=0.5)


def rounds_of(parameters: Rounds, per_class: int) -> tuple[int, int]:
    """Steps of the images per network, and of the network between two of them: the paper's where they are left open."""
    outer, inner = (1, 1) if per_class == 1 else (10, 50) if per_class <= 10 else (50, 10)
    return parameters.outer or outer, parameters.inner or inner


def synthetic_examples(scene: Scene, mean: tuple[float, ...], std: tuple[float, ...]) -> Examples:
    """The synthetic images as a network learns from them."""
    return Examples(scene.images.detach(), scene.labels, mean, std)
