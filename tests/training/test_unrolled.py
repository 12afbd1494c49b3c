from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from csdm_cli.errors import CsdmError
from csdm_cli.networks import build
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.training.second_order import Objective, Weights, hard, of_label_logits, soft, weighted
from csdm_cli.training.unrolled import (
    Trajectory,
    TrajectoryGradient,
    Unroll,
    student_states,
    trajectory_gradient,
)
from tests.reference.unrolled import difference, train

CLASSES, PIXELS, STORED = 3, 6, 5
# Members of each step's minibatch: some images come twice in one and others never.
MEMBERS = [[0, 1], [2, 2], [4, 0], [1, 4], [0, 2], [2, 1], [4, 4]]


def leaves_of(seed: int = 1) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    images = torch.randn(STORED, PIXELS, dtype=torch.float64).requires_grad_(True)
    return images, torch.randn(STORED, CLASSES, dtype=torch.float64).requires_grad_(True)


def softmax_regression() -> tuple[nn.Module, Weights]:
    torch.manual_seed(2)
    network = nn.Linear(PIXELS, CLASSES).double()
    return network, {name: value.detach().clone() for name, value in network.named_parameters()}


def target_of(weights: Weights) -> Weights:
    torch.manual_seed(3)
    return {name: value + 0.3 * torch.randn_like(value) for name, value in weights.items()}


def squared_distance(target: Weights, weights: Weights) -> Tensor:
    return torch.stack([(weights[name] - target[name]).square().sum() for name in target]).sum()


def trajectory(images: Tensor, labels: Tensor, start: Weights, target: Weights, rate: float, steps: int) -> Trajectory:
    def minibatch(step: int) -> tuple[Tensor, Tensor]:
        own = MEMBERS[step]
        return images[own] * (1 + 0.1 * step), labels[own]  # an "augmentation" that depends on the step

    return Trajectory(
        start, torch.tensor(rate, dtype=torch.float64), steps, minibatch, lambda θ: squared_distance(target, θ)
    )


def found(mode: Unroll, rate: float, steps: int = len(MEMBERS), at_once: int = 1) -> TrajectoryGradient:
    images, labels = leaves_of()
    network, start = softmax_regression()
    objective = Objective(network, of_label_logits(soft), at_once)
    path = trajectory(images, labels, start, target_of(start), rate, steps)
    return trajectory_gradient(objective, path, [images, labels], mode)


def reference(rate: float, steps: int, *, detached: bool = False) -> tuple[Tensor, list[Tensor]]:
    """Value and derivatives in images, label logits and rate by one graph."""
    images, labels = leaves_of()
    _, start = softmax_regression()
    α = torch.tensor(rate, dtype=torch.float64, requires_grad=True)
    batches = [(images[own] * (1 + 0.1 * i), labels[own].softmax(1)) for i, own in enumerate(MEMBERS[:steps])]
    names = list(start)
    last = train(lambda w, x: x @ w[0].T + w[1], list(start.values()), batches, α, detached=detached)
    value = squared_distance(target_of(start), dict(zip(names, last, strict=True)))
    return value.detach(), list(torch.autograd.grad(value, [images, labels, α]))


def assert_equal(mine: TrajectoryGradient, value: Tensor, derivatives: list[Tensor], tolerance: float) -> None:
    torch.testing.assert_close(mine.value, value, rtol=1e-12, atol=0)
    for own, expected in zip([*mine.leaves, mine.rate], derivatives, strict=True):
        assert expected.abs().max() > 1e-3  # otherwise nothing is compared
        torch.testing.assert_close(own, expected, rtol=tolerance, atol=tolerance * float(expected.abs().max()))


@pytest.mark.parametrize("mode", [Unroll.adjoint, Unroll.unrolled])
@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("at_once", [1, 2])
def test_exact_modes_equal_plain_unrolling(mode: Unroll, steps: int, at_once: int) -> None:
    value, derivatives = reference(0.5, steps)
    assert_equal(found(mode, 0.5, steps, at_once), value, derivatives, 1e-10)


def test_adjoint_equals_finite_differences_in_image_label_and_rate() -> None:
    mine = found(Unroll.adjoint, 0.4)
    images, labels = leaves_of()
    network, start = softmax_regression()
    objective = Objective(network, of_label_logits(soft), 2)

    def value(x: Tensor, y: Tensor, rate: Tensor) -> Tensor:
        path = trajectory(x, y, start, target_of(start), float(rate), len(MEMBERS))
        return path.final(student_states(objective, path)[-1])

    α = torch.tensor([0.4], dtype=torch.float64)
    with torch.no_grad():
        for index in [(0, 0), (2, 5), (4, 1)]:
            slope = difference(lambda x: value(x, labels, α), images, index)
            assert float(mine.leaves[0][index]) == pytest.approx(slope, rel=1e-9, abs=1e-10)
        for index in [(1, 2), (2, 0)]:
            slope = difference(lambda y: value(images, y, α), labels, index)
            assert float(mine.leaves[1][index]) == pytest.approx(slope, rel=1e-9, abs=1e-10)
        slope = difference(lambda rate: value(images, labels, rate), α, (0,))
    assert float(mine.rate) == pytest.approx(slope, rel=1e-9)
    # The fourth stored image is in no minibatch.
    assert not mine.leaves[0][3].any() and not mine.leaves[1][3].any()


def test_adjoint_equals_the_graph_through_a_convnet_with_weighted_labels() -> None:
    spec = NetworkSpec(name="convnet", depth=1, width=3, channels=1, size=4, classes=CLASSES)
    network = build(spec, seed=0).double()
    start = {name: value.detach().clone() for name, value in network.named_parameters()}
    torch.manual_seed(5)
    images = torch.rand(4, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.randn(4, CLASSES, dtype=torch.float64, requires_grad=True)
    loss = of_label_logits(weighted(torch.tensor([2.0, 0.7, 0.3])))
    path = Trajectory(
        start,
        torch.tensor(0.3, dtype=torch.float64),
        3,
        lambda step: (images[[step, 3]].flip(3), labels[[step, 3]]),
        lambda θ: squared_distance(target_of(start), θ),
    )
    exact, graph = (
        trajectory_gradient(Objective(network, loss, 1), path, [images, labels], mode)
        for mode in (Unroll.adjoint, Unroll.unrolled)
    )
    assert_equal(exact, graph.value, [*graph.leaves, graph.rate], 1e-9)


def test_tesla_is_exact_for_one_step() -> None:
    value, derivatives = reference(0.7, 1)
    assert_equal(found(Unroll.tesla, 0.7, 1), value, derivatives, 1e-10)


def test_tesla_is_unrolling_with_constant_states() -> None:
    """Whence also its factor 2: the derivative of a square."""
    value, derivatives = reference(0.7, 7, detached=True)
    assert_equal(found(Unroll.tesla, 0.7), value, derivatives, 1e-10)


def test_tesla_errs_in_proportion_to_the_rate() -> None:
    def error(rate: float, leaf: int) -> float:
        exact, near = found(Unroll.adjoint, rate).leaves[leaf], found(Unroll.tesla, rate).leaves[leaf]
        return float((near - exact).norm() / exact.norm())

    for leaf in (0, 1):
        errors = [error(10.0**-power, leaf) for power in (3, 4, 5)]
        assert errors[0] > 1e-5
        for coarse, fine in pairwise(errors):
            assert coarse / fine == pytest.approx(10, rel=0.03)


def test_a_student_that_does_not_move_tells_the_rates_derivative_alone() -> None:
    """α = 0: θ_N = θ_0, no derivative in the images, and ∂L/∂α = −⟨∇L(θ_0), Σ g_i(θ_0)⟩."""
    mine = found(Unroll.adjoint, 0.0)
    images, labels = leaves_of()
    network, start = softmax_regression()
    target = target_of(start)
    objective = Objective(network, of_label_logits(soft), 2)
    assert float(mine.value) == pytest.approx(float(squared_distance(target, start)), rel=1e-12)
    assert not any(leaf.any() for leaf in mine.leaves)
    path = trajectory(images, labels, start, target, 1.0, 1)
    expected = 0.0
    for step in range(len(MEMBERS)):
        one = replace(
            path, minibatch=lambda _, step=step: (images[MEMBERS[step]] * (1 + 0.1 * step), labels[MEMBERS[step]])
        )
        moved = student_states(objective, one)[-1]
        expected += sum(float((2 * (start[n] - target[n]) * (moved[n] - start[n])).sum()) for n in start)
    assert float(mine.rate) == pytest.approx(expected, rel=1e-10)


def test_an_expert_that_is_the_student_itself_has_nothing_to_teach() -> None:
    images, labels = leaves_of()
    network, start = softmax_regression()
    objective = Objective(network, of_label_logits(soft), 2)
    path = trajectory(images, labels, start, start, 0.5, 7)
    expert = student_states(objective, path)[-1]
    mine = trajectory_gradient(objective, trajectory(images, labels, start, expert, 0.5, 7), [images, labels])
    assert mine.value == 0 and mine.rate == 0 and not any(leaf.any() for leaf in mine.leaves)


def test_labels_that_are_classes_and_leaves_out_of_reach_get_no_derivative() -> None:
    images, labels = leaves_of()
    network, start = softmax_regression()
    path = Trajectory(
        start,
        torch.tensor(0.5, dtype=torch.float64),
        3,
        lambda step: (images[MEMBERS[step]], torch.tensor([0, 2])),
        lambda θ: squared_distance(target_of(start), θ),
    )
    exact, graph = (
        trajectory_gradient(Objective(network, hard, 1), path, [images, labels], mode)
        for mode in (Unroll.adjoint, Unroll.unrolled)
    )
    torch.testing.assert_close(exact.leaves[0], graph.leaves[0], rtol=1e-10, atol=1e-13)
    assert exact.leaves[0].any() and not exact.leaves[1].any() and not graph.leaves[1].any()


@pytest.mark.parametrize("mode", list(Unroll))
def test_a_diverged_student_is_an_error_that_names_the_step_size(mode: Unroll) -> None:
    images, labels = leaves_of()
    network, start = softmax_regression()
    path = trajectory(images, labels, start, target_of(start), math.inf, 2)
    with pytest.raises(CsdmError, match="lower its step size"):
        trajectory_gradient(Objective(network, of_label_logits(soft), 2), path, [images, labels], mode)
