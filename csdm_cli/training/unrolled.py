"""The gradient of what a student becomes in the images, labels and step size that it was trained with.

A student takes N plain gradient steps θ_{i+1} = θ_i − α·g_i, g_i = ∇_θ loss(θ_i; x_i, y_i), and L(θ_N) is wanted with
its derivatives in whatever the minibatches (x_i, y_i) were made of, and in α. Three ways:

* ``adjoint`` walks back over the stored states: λ_N = ∇L(θ_N), and for i = N−1 … 0
  ∂L/∂(x_i, y_i) += −α·∂⟨λ_{i+1}, g_i⟩/∂(x_i, y_i), ∂L/∂α += −⟨λ_{i+1}, g_i⟩, λ_i = λ_{i+1} − α·∂⟨λ_{i+1}, g_i⟩/∂θ_i.
  All three come from one :func:`~csdm_cli.training.second_order.pull`. Exact, with N states in memory and the
  graph of one piece of one step.
* ``tesla`` is the same with λ frozen at λ_N, as if a state did not depend on the images of the steps before it (Cui et
  al. 2023, "Scaling Up Dataset Distillation to ImageNet-1K with Constant Memory"): exact at N = 1, and wrong by a part
  proportional to α beyond. It spares the derivative in θ.
* ``unrolled`` keeps the graph of all N steps (Cazenavette et al. 2022, "Dataset Distillation by Matching Training
  Trajectories"): exact, with memory that grows with N times the images of a minibatch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from csdm_cli.errors import CsdmError
from csdm_cli.training.second_order import Objective, Weights, gradient, pull


class Unroll(StrEnum):
    """How the gradient of a trajectory is found."""

    adjoint = "adjoint"
    tesla = "tesla"
    unrolled = "unrolled"


# The images and targets of a student's step: a function of the step alone, differentiable in the leaves.
Minibatch = Callable[[int], tuple[Tensor, Tensor]]
# What a student's last weights are worth: a scalar.
Final = Callable[[Weights], Tensor]


@dataclass(frozen=True)
class Trajectory:
    """How the student learns.

    Attributes:
        start: θ_0.
        rate: α, a scalar tensor.
        steps: N.
        minibatch: (x_i, y_i); called twice with the same i, it must give the same values.
        final: L.
    """

    start: Weights
    rate: Tensor
    steps: int
    minibatch: Minibatch
    final: Final


@dataclass(frozen=True)
class TrajectoryGradient:
    """L(θ_N) and its derivatives.

    Attributes:
        value: L(θ_N), a scalar.
        leaves: its derivative in every leaf, in the order given.
        rate: in α, a scalar.
    """

    value: Tensor
    leaves: tuple[Tensor, ...]
    rate: Tensor


def trajectory_gradient(
    objective: Objective, trajectory: Trajectory, leaves: Sequence[Tensor], mode: Unroll = Unroll.adjoint
) -> TrajectoryGradient:
    """Train the student and differentiate what becomes of it.

    Args:
        objective: the student's loss.
        trajectory: its start, step size, minibatches and worth.
        leaves: the tensors that ``trajectory.minibatch`` reads, each requiring a gradient.
        mode: exact in constant memory, TESLA's approximation of it, or exact with the whole graph.

    Raises:
        CsdmError: if the student's worth is not finite.
    """
    if mode is Unroll.unrolled:
        return _through_the_graph(objective, trajectory, leaves)
    states = student_states(objective, trajectory)
    value, costate = _worth(trajectory, states[-1])
    rate = trajectory.rate.detach()
    totals = [torch.zeros_like(leaf) for leaf in leaves]
    by_rate = torch.zeros_like(rate)
    for step in reversed(range(trajectory.steps)):
        with torch.enable_grad():
            images, targets = trajectory.minibatch(step)
        exact = mode is Unroll.adjoint and step > 0
        pulled = pull(costate, objective, states[step], images, targets, through_weights=exact)
        by_rate = by_rate - pulled.value
        _add(totals, leaves, [(images, pulled.images), (targets, pulled.targets)], -rate)
        if exact:
            costate = {name: own - rate * pulled.weights[name] for name, own in costate.items()}
    return TrajectoryGradient(value, tuple(totals), by_rate)


def student_states(objective: Objective, trajectory: Trajectory) -> list[Weights]:
    """θ_0 … θ_N, without a graph."""
    rate = trajectory.rate.detach()
    states = [{name: value.detach() for name, value in trajectory.start.items()}]
    for step in range(trajectory.steps):
        with torch.no_grad():
            images, targets = trajectory.minibatch(step)
        moves = gradient(objective, states[-1], images, targets)
        states.append({name: value - rate * moves[name] for name, value in states[-1].items()})
    return states


def _worth(trajectory: Trajectory, weights: Weights) -> tuple[Tensor, Weights]:
    """L at ``weights``, and ∇L."""
    last = {name: value.detach().requires_grad_(True) for name, value in weights.items()}
    with torch.enable_grad():
        value = trajectory.final(last)
    found = torch.autograd.grad(value, list(last.values()), materialize_grads=True, allow_unused=True)
    return _finite(value.detach()), dict(zip(last, found, strict=True))


def _add(
    totals: list[Tensor], leaves: Sequence[Tensor], outputs: list[tuple[Tensor, Tensor | None]], factor: Tensor
) -> None:
    """Add ``factor`` times what the outputs' derivatives give the leaves that they were made of."""
    made = [(output, factor * own) for output, own in outputs if own is not None and output.requires_grad]
    if not made:
        return
    found = torch.autograd.grad([o for o, _ in made], leaves, [own for _, own in made], allow_unused=True)
    for total, own in zip(totals, found, strict=True):
        if own is not None:
            total.add_(own)


def _through_the_graph(objective: Objective, trajectory: Trajectory, leaves: Sequence[Tensor]) -> TrajectoryGradient:
    rate = trajectory.rate.detach().requires_grad_(True)
    weights = {name: value.detach().requires_grad_(True) for name, value in trajectory.start.items()}
    with torch.enable_grad():
        for step in range(trajectory.steps):
            images, targets = trajectory.minibatch(step)
            loss = objective.part(weights, images, targets, len(images))
            moves = torch.autograd.grad(
                loss, list(weights.values()), create_graph=True, materialize_grads=True, allow_unused=True
            )
            weights = {name: own - rate * move for (name, own), move in zip(weights.items(), moves, strict=True)}
        value = trajectory.final(weights)
    found = torch.autograd.grad(value, [*leaves, rate], materialize_grads=True, allow_unused=True)
    return TrajectoryGradient(_finite(value.detach()), tuple(found[:-1]), found[-1])


def _finite(value: Tensor) -> Tensor:
    if not bool(value.isfinite()):
        raise CsdmError(
            f"the student's training diverged (its loss is {float(value)}): lower its step size, or the learning "
            "rates of the step size and of the images"
        )
    return value
