"""The distance and the student's training together: what mtt, datm and lad must hold."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from csdm_cli.methods.trajectory.class_weights import lad_class_weights
from csdm_cli.methods.trajectory.distance import ExpertSegment
from csdm_cli.networks import build
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.training.second_order import Objective, Weights, gradient, hard, of_label_logits, soft, weighted
from csdm_cli.training.unrolled import Trajectory, TrajectoryGradient, student_states, trajectory_gradient

CLASSES, STEPS = 3, 3
ENCODER = ("encoder.0.weight", "encoder.0.bias", "encoder.1.weight", "encoder.1.bias")
CLASSIFIER = ("classifier.weight", "classifier.bias")


def world() -> tuple[nn.Module, Weights, Tensor, Tensor]:
    network = build(NetworkSpec("convnet", depth=1, width=3, channels=1, size=4, classes=CLASSES), seed=0).double()
    torch.manual_seed(1)
    images = torch.rand(6, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    logits = torch.randn(6, CLASSES, dtype=torch.float64, requires_grad=True)
    return network, {n: p.detach().clone() for n, p in network.named_parameters()}, images, logits


def moved(weights: Weights, seed: int) -> Weights:
    rng = torch.Generator().manual_seed(seed)
    return {n: w + 0.2 * torch.randn(w.shape, generator=rng, dtype=w.dtype) for n, w in weights.items()}


def match(
    objective: Objective,
    segment: ExpertSegment,
    images: Tensor,
    targets: Tensor,
    rate: float = 0.4,
    start: Weights | None = None,
) -> TrajectoryGradient:
    members = [[0, 1, 2], [3, 4, 5], [0, 3, 5]]
    path = Trajectory(
        segment.start if start is None else start,
        torch.tensor(rate, dtype=torch.float64),
        STEPS,
        lambda step: (images[members[step]], targets[members[step]]),
        segment.loss,
    )
    leaves = [leaf for leaf in (images, targets) if leaf.requires_grad]
    return trajectory_gradient(objective, path, leaves)


def test_a_student_of_step_size_zero_loses_exactly_one() -> None:
    network, start, images, logits = world()
    objective, segment = Objective(network, of_label_logits(soft), 2), ExpertSegment(start, moved(start, 2))
    found = match(objective, segment, images, logits, rate=0.0)
    assert found.value == 1 and not any(leaf.any() for leaf in found.leaves)
    members = [[0, 1, 2], [3, 4, 5], [0, 3, 5]]
    summed = [gradient(objective, start, images[own], logits[own]) for own in members]
    inner = sum(((start[n] - segment.target[n]) * g[n]).sum() for g in summed for n in start)
    torch.testing.assert_close(found.rate, -2 * inner / segment.squared_length())


def test_an_expert_made_by_the_student_itself_is_reached() -> None:
    network, start, images, logits = world()
    objective = Objective(network, of_label_logits(soft), 2)
    members = [[0, 1, 2], [3, 4, 5], [0, 3, 5]]
    path = Trajectory(
        start,
        torch.tensor(0.4, dtype=torch.float64),
        STEPS,
        lambda step: (images[members[step]], logits[members[step]]),
        lambda _: torch.zeros(()),
    )
    expert = student_states(objective, path)[-1]
    found = match(objective, ExpertSegment(start, expert), images, logits)
    assert found.value == 0 and found.rate == 0 and not any(leaf.any() for leaf in found.leaves)


def test_frozen_one_hot_labels_of_datm_are_mtts_classes() -> None:
    network, start, images, _ = world()
    classes = torch.tensor([0, 1, 2, 2, 1, 0])
    one_hot = nn.functional.one_hot(classes, CLASSES).double()
    segment = ExpertSegment(start, moved(start, 3))
    mtt = match(Objective(network, hard, 2), segment, images, classes)
    datm = match(Objective(network, soft, 2), segment, images, one_hot)
    torch.testing.assert_close(datm.value, mtt.value, rtol=1e-12, atol=0)
    torch.testing.assert_close(datm.leaves[0], mtt.leaves[0], rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(datm.rate, mtt.rate, rtol=1e-10, atol=0)


def test_lad_on_balanced_counts_is_datm() -> None:
    network, start, images, logits = world()
    segment = ExpertSegment(start, moved(start, 4))
    lad = Objective(network, of_label_logits(weighted(lad_class_weights([40] * CLASSES))), 2)
    mine, datm = (match(o, segment, images, logits) for o in (lad, Objective(network, of_label_logits(soft), 2)))
    assert torch.equal(mine.value, datm.value) and torch.equal(mine.rate, datm.rate)
    assert all(torch.equal(a, b) for a, b in zip(mine.leaves, datm.leaves, strict=True))


def test_representation_term_ignores_the_classifiers_target() -> None:
    network, start, images, logits = world()
    target = moved(start, 5)
    objective = Objective(network, of_label_logits(weighted(lad_class_weights([60, 30, 10]))), 2)
    other = {n: w + 9 if n in CLASSIFIER else w for n, w in target.items()}
    mine, theirs = (match(objective, ExpertSegment(start, t, ENCODER), images, logits) for t in (target, other))
    assert torch.equal(mine.value, theirs.value) and torch.equal(mine.leaves[0], theirs.leaves[0])
    assert mine.leaves[0].any()


def test_classifier_term_moves_the_classifier_alone() -> None:
    """Whose student has the encoder among its fixed weights, and so equals one whose encoder's steps are undone."""
    network, start, images, logits = world()
    target = moved(start, 6)
    encoder = {n: start[n] for n in ENCODER}
    classifier = {n: start[n] for n in CLASSIFIER}
    objective = Objective(network, of_label_logits(soft), 2, fixed=encoder)
    segment = ExpertSegment(classifier, {n: target[n] for n in CLASSIFIER})
    found = match(objective, segment, images, logits)

    linear = nn.Linear(network.classifier.in_features, CLASSES).double()
    features = network.features(images.detach()).detach()
    on_features = Objective(linear, of_label_logits(soft), 2)
    plain = ExpertSegment(
        {n.removeprefix("classifier."): w for n, w in classifier.items()},
        {n.removeprefix("classifier."): target[n] for n in CLASSIFIER},
    )
    expected = match(on_features, plain, features, logits)
    torch.testing.assert_close(found.value, expected.value, rtol=1e-12, atol=0)
    torch.testing.assert_close(found.leaves[1], expected.leaves[0], rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(found.rate, expected.rate, rtol=1e-10, atol=0)
    assert found.leaves[0].any()


def test_label_derivatives_sum_to_zero_over_classes() -> None:
    network, start, images, logits = world()
    objective = Objective(network, of_label_logits(soft), 2)
    found = match(objective, ExpertSegment(start, moved(start, 7)), images, logits)
    assert found.leaves[1].abs().max() > 1e-5
    assert found.leaves[1].sum(1).abs().max() < 1e-13


def test_matching_lowers_its_own_loss() -> None:
    """A fixed segment of a few real steps: gradient steps on images bring the student nearer to the expert."""
    network, start, images, _ = world()
    torch.manual_seed(8)
    real, classes = torch.rand(30, 1, 4, 4, dtype=torch.float64), torch.arange(30) % CLASSES
    teacher = Objective(network, hard, 30)
    expert = start
    for _ in range(20):
        moves = gradient(teacher, expert, real, classes)
        expert = {n: w - 0.3 * moves[n] for n, w in expert.items()}
    segment, objective = ExpertSegment(start, expert), Objective(network, hard, 6)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    values = []
    for _ in range(15):
        found = match(objective, segment, images, labels, rate=1.0)
        values.append(float(found.value))
        with torch.no_grad():
            images -= 0.5 * found.leaves[0]
    assert values[-1] < 0.9 * values[0] and values[-1] == pytest.approx(min(values), rel=0.05)
