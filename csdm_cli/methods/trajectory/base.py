"""The parts that trajectory methods share: a student that learns from the synthetic images, and an expert's way."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from csdm_cli.errors import CsdmError
from csdm_cli.images.augment import augment, draw, parse_strategy
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.bounds import Momentum, NonNegative, Rate, Several, Some
from csdm_cli.methods.contract import Context, option
from csdm_cli.methods.learning import LOG_STEP, Learned, LearningMethod, Scene, add_gradient
from csdm_cli.methods.trajectory.distance import ExpertSegment, Weights
from csdm_cli.methods.trajectory.window import Window
from csdm_cli.names import AugmentMode
from csdm_cli.networks import build
from csdm_cli.networks.instance_block import in_blocks
from csdm_cli.seeds import generator
from csdm_cli.teachers.pool import TeacherPool
from csdm_cli.training.inference import differentiated_at_once
from csdm_cli.training.second_order import Loss, Objective
from csdm_cli.training.unrolled import Trajectory, TrajectoryGradient, Unroll, trajectory_gradient

# Steps in a row that may lose too much to count; then none of them is going to.
MOST_SKIPPED = 100


@dataclass(frozen=True)
class TrajectoryParameters:
    """Parameters of a student that follows an expert; the defaults are for a CPU and a network of width 32."""

    augment: str
    augment_mode: AugmentMode
    student_steps: Several = option(20, "N, steps of the student on the synthetic images")
    ahead: Several = option(1, "M, points that the expert went meanwhile, of --snapshot-every steps each")
    latest: Several = option(8, "T⁺: the student starts from a point of the expert before this one")
    student_batch: Some = option(100, "synthetic images per step of the student (0: all of them)")
    step_size: Rate = option(0.02, "α, step size of the student before it is learned")
    step_size_lr: NonNegative = option(0.01, "learning rate of log α (0: α stays)")
    step_size_momentum: Momentum = option(0.5, "its momentum")
    unroll: Unroll = option(
        Unroll.adjoint,
        "how the gradient is found: adjoint, exact in constant memory; tesla, its approximation; unrolled, exact with"
        " the graph of all steps in memory",
    )


@dataclass(frozen=True)
class Stretch:
    """A part of an expert's way that a student has to go.

    Attributes:
        name: name of its loss, and of the student's random draws.
        segment: from where to where.
        objective: the student's loss.
        steps: N.
        weight: weight of its loss.
    """

    name: str
    segment: ExpertSegment
    objective: Objective
    steps: int
    weight: float = 1.0


class TrajectoryMethod(LearningMethod):
    """‖θ_N − θ*_{t+M}‖² / ‖θ*_t − θ*_{t+M}‖² of a student that starts at θ*_t and takes N steps.

    Cazenavette et al. 2022, "Dataset Distillation by Matching Training Trajectories". Experts come in shuffled order,
    each once and then all again. The student's minibatches are cut from permutations of all synthetic images, every
    image augmented by a draw of its own. What is random follows from the seed, the step and the student's step.

    Attributes:
        threshold: a stretch whose loss is beyond it moves nothing (DATM); None for none.
    """

    Parameters: ClassVar[type[TrajectoryParameters]]
    parameters: TrajectoryParameters
    coupled_by = "its student learns from the synthetic images of all of them"
    to_lower = "--lr, --option step_size or --option step_size_lr"
    needs_teachers = True
    threshold: float | None = None

    @property
    def window(self) -> Window:
        """Where students start."""
        return Window.fixed(0, self.parameters.latest)

    @abstractmethod
    def stretches(self, step: int) -> list[Stretch]:
        """The stretch that students have to go at a step."""

    @abstractmethod
    def targets(self, scene: Scene) -> Tensor:
        """The students' targets of all images: classes (C·per_class,), or a leaf of floats (C·per_class, …)."""

    def require_points(self, points: int, classifier_points: int) -> None:
        self.window.require(points, self.parameters.ahead)

    def prepare(self, context: Context) -> None:
        assert context.pool is not None and context.data is not None
        self.context, self.experts_pool, self.data = context, context.pool, context.data
        classifiers = context.pool.classifiers
        self.require_points(context.pool.epochs, classifiers.epochs if classifiers else 0)
        network = in_blocks(build(context.pool.spec, seed=0)).to(device=context.device, dtype=context.dtype)
        self.network = network.eval().requires_grad_(False)
        self._at_once = differentiated_at_once(self.network, context.data.images)
        self._skipped = 0

    def learned(self, images: Tensor) -> dict[str, Learned]:
        own = self.parameters
        if not own.step_size_lr:
            return {}
        start = torch.tensor(own.step_size, dtype=images.dtype, device=images.device).log()
        return {LOG_STEP: Learned(start, own.step_size_lr, own.step_size_momentum)}

    def step(self, scene: Scene, step: int) -> dict[str, Tensor]:
        terms, moved = {}, False
        for stretch in self.stretches(step):
            found = self._followed(scene, stretch, step)
            terms[stretch.name] = stretch.weight * found.value
            if self.threshold is None or float(found.value) <= self.threshold:
                self._add(scene, stretch, found)
                moved = True
        self._skipped = 0 if moved else self._skipped + 1
        if self._skipped >= MOST_SKIPPED:
            raise CsdmError(
                f"{MOST_SKIPPED} steps in a row lost more than --option threshold allows, and moved nothing: lower"
                " --option step_size or student_steps, or raise the threshold"
            )
        return terms

    def state_dict(self) -> dict[str, Tensor]:
        return {"skipped": torch.tensor(self._skipped)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._skipped = int(state["skipped"])

    def expert(self, pool: TeacherPool, step: int) -> int:
        """The expert of a step: all of them in random order, and then again."""
        turn, place = divmod(step, len(pool))
        return int(torch.randperm(len(pool), generator=generator(self.context.seed, "experts", turn))[place])

    def start_of(self, step: int) -> int:
        """The point of the expert from which the student of a step starts."""
        return self.window.draw(step, generator(self.context.seed, "start", step))

    def weights(self, pool: TeacherPool, expert: int, point: int) -> Weights:
        """An expert's parameters at a point of its way."""
        state = pool.weights(expert, ("epoch", point))
        own = dict(self.network.named_parameters())  # of the run's device and type, in the network's order of memory
        return {name: torch.empty_like(own[name]).copy_(value) for name, value in state.items() if name in own}

    def objective(self, loss: Loss, fixed: Weights | None = None) -> Objective:
        """The mean loss of the student's network; ``fixed`` weights are no student's."""
        return Objective(self.network, loss, self._at_once, fixed or {})

    def _followed(self, scene: Scene, stretch: Stretch, step: int) -> TrajectoryGradient:
        """The loss of a stretch and its derivatives in images, targets and step size."""
        stretch.segment.squared_length()  # an expert that stands still is not the student's fault
        images, targets = scene.images, self.targets(scene)
        leaves = [images, targets] if targets.is_floating_point() else [images]
        order = self._order(len(images), stretch, step)

        def minibatch(own: int) -> tuple[Tensor, Tensor]:
            rows = order[own].to(images.device)
            seen = normalise(images[rows], self.data.mean, self.data.std)
            rng = generator(self.context.seed, stretch.name, "augment", step, own)
            theta = draw(rng, len(rows), parse_strategy(self.parameters.augment), self.parameters.augment_mode)
            return augment(seen, theta), targets[rows]

        student = Trajectory(stretch.segment.start, self._rate(scene), stretch.steps, minibatch, stretch.segment.loss)
        try:
            return trajectory_gradient(stretch.objective, student, leaves, self.parameters.unroll)
        except CsdmError as error:
            raise CsdmError(f"{error} (--option step_size, --option step_size_lr, --lr)") from error

    def _rate(self, scene: Scene) -> Tensor:
        if LOG_STEP in scene.learned:
            return scene.learned[LOG_STEP].detach().exp()
        return torch.tensor(self.parameters.step_size, dtype=scene.images.dtype, device=scene.images.device)

    def _order(self, count: int, stretch: Stretch, step: int) -> list[Tensor]:
        """The images of each of the student's steps: permutations of all, cut into minibatches."""
        cuts: list[Tensor] = []
        for turn in range(stretch.steps):
            rng = generator(self.context.seed, stretch.name, "order", step, turn)
            cuts += torch.randperm(count, generator=rng).split(self.parameters.student_batch or count)
            if len(cuts) >= stretch.steps:
                break
        return cuts[: stretch.steps]

    def _add(self, scene: Scene, stretch: Stretch, found: TrajectoryGradient) -> None:
        leaves = [scene.images, self.targets(scene)]
        for leaf, derivative in zip(leaves, found.leaves, strict=False):  # classes have none
            add_gradient(leaf, stretch.weight * derivative)
        if LOG_STEP in scene.learned:
            leaf = scene.learned[LOG_STEP]
            add_gradient(leaf, stretch.weight * self._rate(scene) * found.rate)
