"""Teachers, one or several at once: trained, their weights kept on the way, resumable, and written a file each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from csdm_cli.display.console import progress
from csdm_cli.images.image_set import ImageSet
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.networks.network import Network
from csdm_cli.seeds import derive_seed
from csdm_cli.storage import tensorfile
from csdm_cli.teachers.remains import Remains
from csdm_cli.training.batches import Examples
from csdm_cli.training.inference import predict
from csdm_cli.training.losses import bias_after, training_loss
from csdm_cli.training.many import JointMoment, train_together
from csdm_cli.training.recipe import Duration, Recipe

if TYPE_CHECKING:
    from csdm_cli.names import TeacherLoss
    from csdm_cli.networks.numerics import Numerics

# Prefixes of the weights in a teacher's file.
INITIAL, FINAL, EPOCH = "initial.", "final.", "epoch-{:02d}."
BIAS = "classifier.bias"


@dataclass(frozen=True)
class TeachingPlan:
    """The training that all teachers of a pool share.

    Attributes:
        numerics: theirs in training, plain if None.
        frozen: their encoders stay as they are.
    """

    data: ImageSet
    spec: NetworkSpec
    duration: Duration
    loss: TeacherLoss
    recipe: Recipe
    trajectory: bool
    numerics: Numerics | None = None
    frozen: bool = False

    @property
    def tuning(self) -> dict[str, Any]:
        """The part of a teacher's key that comes from its numerics, as JSON values; nothing if they are plain."""
        from csdm_cli.networks.numerics import PLAIN
        from csdm_cli.training.tuned import identity

        return identity(self.numerics or PLAIN)

    def in_training(self, network: Network) -> Network:
        """The module to train in the place of ``network``, whose weights it has."""
        # not above: numerics know of the teachers' networks, and these of teachers
        from csdm_cli.networks.numerics import PLAIN
        from csdm_cli.training.tuned import in_training

        return in_training(network, self.spec, self.numerics or PLAIN)

    @property
    def examples(self) -> Examples:
        """The images with their labels."""
        return Examples(self.data.images, self.data.labels, self.data.mean, self.data.std)

    @property
    def ends(self) -> dict[int, int]:
        """The stage that each boundary step completes."""
        return self.duration.ends(len(self.data.images), self.recipe.batch)

    def snapshot(self, network: Network) -> dict[str, Tensor]:
        """The weights to keep of a network in training, as they classify, on the CPU."""
        weights = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
        return weights | {BIAS: bias_after(self.loss, self.data.counts, weights[BIAS])}

    def waypoint(self, network: Network) -> dict[str, Tensor]:
        """Those of the weights to keep that training changes."""
        weights = self.snapshot(network)
        return {name: value for name, value in weights.items() if is_classifier(name)} if self.frozen else weights


def is_classifier(name: str) -> bool:
    """Whether a network's weight called ``name`` is its classifier's."""
    return name.startswith("classifier.")


@dataclass(frozen=True)
class TeacherInTraining:
    """A teacher to be.

    Attributes:
        number: in the pool.
        seed: random seed of its weights and its training.
        path: its file.
        header: its description in the file.
        start: gives its weights before training; the seed's if None.
    """

    number: int
    seed: int
    path: Path
    header: dict[str, Any]
    start: Callable[[], dict[str, Tensor]] | None = None


def teach(
    plan: TeachingPlan,
    teachers: Sequence[TeacherInTraining],
    *,
    title: str,
    quiet: bool,
    checkpoint_every: float,
    on_epoch: Callable[[int, int, float], None] | None,
) -> None:
    """Train ``teachers`` at once and write each to its file; those of a killed run go on where they were.

    Teachers that were killed after different steps are trained one group after another.

    Raises:
        CsdmError: if training diverges or a class has no image.
    """
    by_step: dict[int, list[_Training]] = {}
    for teacher in teachers:
        run = _Training(plan, teacher, checkpoint_every)
        by_step.setdefault(run.start.step if run.start else 0, []).append(run)
    for step, group in by_step.items():
        _teach(plan, group, step, title, quiet, on_epoch)
        for run in group:
            run.finish(plan)


class _Training:
    """A teacher's network, and how far its training is.

    Attributes:
        start: where a killed run was.
    """

    def __init__(self, plan: TeachingPlan, teacher: TeacherInTraining, checkpoint_every: float) -> None:
        self.teacher = teacher
        self.network = build(plan.spec, derive_seed(teacher.seed, "weights"))
        if teacher.start is not None:
            self.network.load_state_dict(teacher.start())
        if plan.frozen:
            self.network.encoder.requires_grad_(False)
        self._initial = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.network.to(plan.data.images.device)
        self.progress = Remains(teacher.path.with_suffix(".partial"), checkpoint_every)
        self.start = self.progress.read(self.network, max(plan.ends, default=0))

    def finish(self, plan: TeachingPlan) -> None:
        """Write the teacher's file."""
        final = plan.snapshot(self.network)
        self.network.load_state_dict(final)
        weights = {INITIAL: self._initial, FINAL: final}
        weights |= {EPOCH.format(epoch): kept for epoch, kept in self.progress.epochs.items()}
        tensors = {prefix + name: value for prefix, kept in weights.items() for name, value in kept.items()}
        accuracy = {"train_accuracy": _accuracy_per_class(self.network, plan.data)}
        tensorfile.save(self.teacher.path, tensors, self.teacher.header | accuracy)
        self.progress.remove()


def _teach(
    plan: TeachingPlan,
    group: Sequence[_Training],
    done: int,
    title: str,
    quiet: bool,
    on_epoch: Callable[[int, int, float], None] | None,
) -> None:
    """Train the networks of ``group``, which all are after ``done`` steps."""
    data, steps = plan.data, max(plan.ends)
    loss = training_loss(plan.loss, data.counts)
    starts = [run.start for run in group if run.start is not None]
    with progress(title, steps, start=done, quiet=quiet) as task:

        def after(moment: JointMoment) -> None:
            task.update(moment.step, loss=moment.losses.mean())
            epoch = plan.ends.get(moment.step)
            if epoch is None:
                return
            if plan.trajectory:
                moment.bring_up_to_date()
                for run in group:
                    run.progress.epochs[epoch] = plan.waypoint(run.network)
            if any(run.progress.is_due for run in group):
                for run, state in zip(group, moment.states(), strict=True):
                    run.progress.write(state)
            if on_epoch is not None:
                for run, value in zip(group, moment.losses.tolist(), strict=True):
                    on_epoch(run.teacher.number, epoch, value)

        networks = [plan.in_training(run.network) for run in group]
        seeds = [_training_seed(run.teacher) for run in group]
        train_together(networks, plan.examples, plan.recipe, steps, seeds, loss=loss, starts=starts, on_step=after)


def _training_seed(teacher: TeacherInTraining) -> int:
    return derive_seed(teacher.seed, "training")


def _accuracy_per_class(network: Network, data: ImageSet) -> list[float]:
    """Share of each class's training images that the network gets right."""
    right = predict(network, data.images, data.mean, data.std).argmax(1) == data.labels
    return [float(part.double().mean()) for part in torch.split(right, list(data.counts))]
