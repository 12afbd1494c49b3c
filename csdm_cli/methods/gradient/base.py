"""The parts that methods of gradient matching share: a network that learns meanwhile, and a distance per class."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.images.augment import Theta, augment, draw, parse_strategy
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.bounds import Rate, Several, Some
from csdm_cli.methods.contract import Context, option
from csdm_cli.methods.gradient.distances import Distance
from csdm_cli.methods.gradient.matched import match_gradients
from csdm_cli.methods.gradient.pooling import pool_quickly
from csdm_cli.methods.learning import LearningMethod, Scene, add_gradient
from csdm_cli.networks import build
from csdm_cli.networks.instance_block import in_blocks
from csdm_cli.networks.network import Network
from csdm_cli.networks.numerics import PLAIN, TunedNetwork
from csdm_cli.seeds import derive_seed, generator
from csdm_cli.training.batches import Batches, Examples
from csdm_cli.training.inference import differentiated_at_once
from csdm_cli.training.loop import TrainState, backward
from csdm_cli.training.losses import cross_entropy
from csdm_cli.training.recipe import Recipe
from csdm_cli.training.second_order import Objective, Weights, gradient, hard

MATCHING = "matching"


@dataclass(frozen=True)
class Rounds:
    """Parameters of a network that is made anew, learns between the steps, and is dropped."""

    real_batch: int
    outer: Some = option(0, "steps of the images per network (0: 1 at one image per class, 10 up to 10, else 50)")
    inner: Some = option(0, "steps of the network between two of the images (0: 1, 50 or 10, likewise)")
    network_lr: Rate = option(0.01, "learning rate of the network, plain SGD")
    network_batch: Several = option(256, "images per step of the network")


class GradientMatching(LearningMethod):
    """Σ_c D(∇θ CE(real images of c), ∇θ CE(synthetic images of c)), at the weights of a network that learns meanwhile.

    A network from a random start is looked at for ``outer`` steps of the images, and takes ``inner`` steps of its own
    after each but the last; then a new one comes. What is random in a step follows from the seed and the step's number.

    Attributes:
        network_momentum, network_weight_decay: those of its SGD.
        network_cutmix: the probability that a batch of its is mixed.
    """

    to_lower = "--lr, or --option network_lr"
    needs_moved_images = True
    takes_precision = True
    network_momentum: ClassVar[float] = 0.0
    network_weight_decay: ClassVar[float] = 0.0
    network_cutmix: ClassVar[float] = 0.0
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

    @property
    def early_steps(self) -> int:
        """The training of a new network before it is looked at."""
        return 0

    def prepare(self, context: Context) -> None:
        assert context.spec is not None and context.data is not None
        self.context, self.data, self.spec = context, context.data, context.spec
        self._outer, self._inner = rounds_of(self.parameters, context.per_class)
        self._begin(0)
        refuse_coupled_samples(self._network)

    def step(self, scene: Scene, step: int) -> dict[str, Tensor]:
        number, turn = divmod(step, self._outer)
        if turn == 0 or number != self._round:
            self._begin(number)
            self._teach(scene, self.early_steps, derive_seed(self.context.seed, "early", number))
        given = {name: value.detach() for name, value in self._network.named_parameters()}
        weights: Weights = {name: value for name, value in given.items() if value.ndim > 1}  # all that a distance reads
        fixed = {name: value for name, value in given.items() if name not in weights}
        objective = Objective(self._network, hard, self._at_once, fixed)
        theta = self.augmentation(step, self.data.classes)
        found = [self._match(scene, objective, weights, theta, label, step) for label in scene.own_classes]
        distances = torch.stack(found)
        if not bool(distances.isfinite().all()):
            raise CsdmError(f"the distance of the gradients is {float(distances.sum())}: lower {self.to_lower}")
        return {MATCHING: distances}

    def after_move(self, scene: Scene, step: int) -> None:
        if (step + 1) % self._outer == 0:
            return  # the network has been looked at for the last time
        self._teach(scene, self._inner, derive_seed(self.context.seed, "network", step))

    def state_dict(self) -> dict[str, Tensor]:
        state = TrainState.capture(0, self._network, self._optimizer).tensors
        return state | {"round": torch.tensor(self._round)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        own = dict(state)
        self._begin(int(own.pop("round")))
        TrainState(0, own).restore(self._network, self._optimizer)

    def real_images(self, label: int, step: int) -> Tensor:
        """Fresh real images of a class, (n, channels, H, W) uint8."""
        return real_minibatch(self.data, label, self.parameters.real_batch, self.context.seed, step)

    def _teach(self, scene: Scene, steps: int, seed: int) -> None:
        """Let the network take ``steps`` steps."""
        rate, batch = self.parameters.network_lr, self.parameters.network_batch
        momentum, decay, cutmix = self.network_momentum, self.network_weight_decay, self.network_cutmix
        recipe = Recipe("sgd", rate, momentum, decay, batch, *self.network_augmentation, cutmix, "steps")
        batches = self.network_batches(scene, recipe, seed)
        for turn in range(steps):
            images, targets = batches.at(turn)
            backward(self._network, images.to(self.context.dtype), targets, cross_entropy, self._at_once)
            self._optimizer.step()

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
        network = pool_quickly(in_blocks(build(self.spec, derive_seed(self.context.seed, "net", number))))
        network.eval()  # without dropout, which would differ from pass to pass
        self._network: Network = network.to(device=self.context.device, dtype=self.context.dtype)
        self._at_once = differentiated_at_once(self._network, self.data.images)
        if self.context.numerics != PLAIN:
            self._network = TunedNetwork(self._network, self.context.numerics.features)
        self._optimizer = torch.optim.SGD(
            self._network.parameters(),
            lr=self.parameters.network_lr,
            momentum=self.network_momentum,
            weight_decay=self.network_weight_decay,
        )


def refuse_coupled_samples(network: Network) -> None:
    """Raises: UsageError if the images of a batch influence each other in ``network``."""
    if network.couples_samples:
        raise UsageError(
            "gradient matching sums over single images, which batch normalisation couples: choose --norm instance,"
            " or a network without batch normalisation"
        )


def rounds_of(parameters: Rounds, per_class: int) -> tuple[int, int]:
    """Steps of the images per network, and of the network between two of them: the paper's where they are left open."""
    outer, inner = (1, 1) if per_class == 1 else (10, 50) if per_class <= 10 else (50, 10)
    return parameters.outer or outer, parameters.inner or inner


def one_draw_per_class(seed: int, step: int, classes: int, operations: str, mode: str) -> Theta | None:
    """A row for each class, from the seed and the step; None without operations."""
    strategy = parse_strategy(operations)
    return draw(generator(seed, "augment", step), classes, strategy, mode) if strategy else None


def real_minibatch(data: ImageSet, label: int, count: int, seed: int, step: int) -> Tensor:
    """``count`` images of a class, or all if it has fewer, drawn by the seed and the step: uint8."""
    images, rng = data.of_class(label), generator(seed, "minibatch", step, label)
    return images[torch.randperm(len(images), generator=rng)[:count].to(images.device)]


def synthetic_examples(scene: Scene, mean: tuple[float, ...], std: tuple[float, ...]) -> Examples:
    """The synthetic images as a network learns from them."""
    return Examples(scene.images.detach(), scene.labels, mean, std)
