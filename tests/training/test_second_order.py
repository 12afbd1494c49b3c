from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from csdm_cli.networks import build
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.training.second_order import (
    Loss,
    Objective,
    Weights,
    gradient,
    hard,
    of_label_logits,
    pull,
    soft,
    weighted,
)
from tests.reference.unrolled import difference, softmax_cross_entropy

CLASSES, IMAGES = 3, 5
LONG_TAIL = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)


def world(network: nn.Module | None = None) -> tuple[nn.Module, Weights, Tensor]:
    torch.manual_seed(3)
    spec = NetworkSpec(name="convnet", depth=1, width=4, channels=2, size=4, classes=CLASSES)
    network = (network or build(spec, seed=0)).double().eval()
    weights = {name: value.detach().clone() for name, value in network.named_parameters()}
    return network, weights, torch.rand(IMAGES, 2, 4, 4, dtype=torch.float64)


def targets_of(loss: Loss) -> Tensor:
    torch.manual_seed(4)
    if loss is hard:
        return torch.tensor([0, 2, 1, 1, 0])
    return torch.rand(IMAGES, CLASSES, dtype=torch.float64)


def direction(weights: Weights, seed: int) -> Weights:
    torch.manual_seed(seed)
    return {name: torch.randn_like(value) for name, value in weights.items()}


LOSSES = {
    "hard": hard,
    "soft": soft,
    "weighted": weighted(LONG_TAIL),
    "label logits": of_label_logits(soft),
    "weighted label logits": of_label_logits(weighted(LONG_TAIL)),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


def mean_loss(network: nn.Module, loss: Loss, weights: Weights, images: Tensor, targets: Tensor) -> Tensor:
    return loss(functional_call(network, weights, (images,)), targets).mean()


@every_loss
def test_gradient_is_that_of_the_mean_loss_in_pieces_of_any_size(loss: Loss) -> None:
    network, weights, images = world()
    targets = targets_of(loss)
    leaves = {name: value.clone().requires_grad_(True) for name, value in weights.items()}
    expected = torch.autograd.grad(mean_loss(network, loss, leaves, images, targets), list(leaves.values()))
    for at_once in (1, 2, IMAGES, 100):
        found = gradient(Objective(network, loss, at_once), weights, images, targets)
        assert list(found) == list(weights)
        for own, value in zip(found.values(), expected, strict=True):
            torch.testing.assert_close(own, value, rtol=1e-12, atol=1e-14)


@every_loss
@pytest.mark.parametrize("at_once", [1, 2, IMAGES])
def test_pull_is_autograd_of_the_inner_product(loss: Loss, at_once: int) -> None:
    network, weights, images = world()
    targets = targets_of(loss)
    v = direction(weights, 5)
    leaves = {name: value.clone().requires_grad_(True) for name, value in weights.items()}
    x = images.clone().requires_grad_(True)
    y = targets.clone().requires_grad_(targets.is_floating_point())
    g = torch.autograd.grad(mean_loss(network, loss, leaves, x, y), list(leaves.values()), create_graph=True)
    inner = sum((own * value).sum() for own, value in zip(v.values(), g, strict=True))
    wanted = [x, *leaves.values(), *([y] if y.requires_grad else [])]
    expected = torch.autograd.grad(inner, wanted, materialize_grads=True)

    pulled = pull(v, Objective(network, loss, at_once), weights, images, targets)
    torch.testing.assert_close(pulled.value, inner.detach(), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(pulled.images, expected[0], rtol=1e-11, atol=1e-14)
    for own, value in zip(pulled.weights.values(), expected[1 : 1 + len(weights)], strict=True):
        torch.testing.assert_close(own, value, rtol=1e-11, atol=1e-13)
    if y.requires_grad:
        torch.testing.assert_close(pulled.targets, expected[-1], rtol=1e-11, atol=1e-14)
    else:
        assert pulled.targets is None


def test_pull_is_the_difference_quotient() -> None:
    network, weights, images = world(nn.Sequential(nn.Flatten(), nn.Linear(32, 6), nn.Tanh(), nn.Linear(6, CLASSES)))
    loss = of_label_logits(weighted(LONG_TAIL))
    targets, v = targets_of(loss), direction(weights, 6)
    objective = Objective(network, loss, 2)
    pulled = pull(v, objective, weights, images, targets)

    def inner(θ: Weights, x: Tensor, y: Tensor) -> Tensor:
        g = gradient(objective, θ, x, y)
        return sum((v[name] * g[name]).sum() for name in v)  # type: ignore[return-value]

    for index in [(0, 0, 0, 0), (4, 1, 3, 2)]:
        slope = difference(lambda x: inner(weights, x, targets), images, index)
        assert float(pulled.images[index]) == pytest.approx(slope, rel=1e-8, abs=1e-11)
    for index in [(0, 0), (3, 2)]:
        slope = difference(lambda y: inner(weights, images, y), targets, index)
        assert float(pulled.targets[index]) == pytest.approx(slope, rel=1e-8, abs=1e-11)
    slope = difference(lambda w: inner(weights | {"1.weight": w}, images, targets), weights["1.weight"], (2, 7))
    assert float(pulled.weights["1.weight"][2, 7]) == pytest.approx(slope, rel=1e-8, abs=1e-11)


def test_pull_is_linear_in_v_and_zero_at_zero() -> None:
    network, weights, images = world()
    objective, targets = Objective(network, soft, 2), targets_of(soft)
    u, v = direction(weights, 7), direction(weights, 8)
    of_u, of_v = (pull(w, objective, weights, images, targets) for w in (u, v))
    both = pull({name: 2 * u[name] - 3 * v[name] for name in u}, objective, weights, images, targets)
    torch.testing.assert_close(both.images, 2 * of_u.images - 3 * of_v.images)
    torch.testing.assert_close(both.targets, 2 * of_u.targets - 3 * of_v.targets)
    for name in weights:
        torch.testing.assert_close(both.weights[name], 2 * of_u.weights[name] - 3 * of_v.weights[name])
    nothing = pull({name: torch.zeros_like(value) for name, value in u.items()}, objective, weights, images, targets)
    assert nothing.value == 0 and not nothing.images.any() and not nothing.targets.any()


def test_pull_of_a_linear_student_has_its_closed_form() -> None:
    """logits = x·Wᵀ: g = (p − y)ᵀx/N, so ∂⟨V, g⟩/∂y_n = −V·x_n/N and the rest follows from the softmax's Jacobian."""
    torch.manual_seed(9)
    network = nn.Linear(7, CLASSES, bias=False).double()
    W, V = network.weight.detach(), torch.randn(CLASSES, 7, dtype=torch.float64)
    x, y = torch.randn(IMAGES, 7, dtype=torch.float64), torch.rand(IMAGES, CLASSES, dtype=torch.float64)
    y = y / y.sum(1, keepdim=True)
    pulled = pull({"weight": V}, Objective(network, soft, 2), {"weight": W}, x, y)
    p, u = (x @ W.T).softmax(1), x @ V.T
    jacobian = p * (u - (p * u).sum(1, keepdim=True))
    torch.testing.assert_close(pulled.value, ((p - y) * u).sum() / IMAGES)
    torch.testing.assert_close(pulled.images, ((p - y) @ V + jacobian @ W) / IMAGES)
    torch.testing.assert_close(pulled.weights["weight"], jacobian.T @ x / IMAGES)
    # The targets' sum may move too: then p − y becomes (Σ_k y_k)·p − y.
    torch.testing.assert_close(pulled.targets, ((p * u).sum(1, keepdim=True) - u) / IMAGES)


def test_derivatives_of_label_logits_sum_to_zero_over_classes() -> None:
    network, weights, images = world()
    loss = of_label_logits(soft)
    pulled = pull(direction(weights, 10), Objective(network, loss, 3), weights, images, targets_of(loss))
    torch.testing.assert_close(pulled.targets.sum(1), torch.zeros(IMAGES, dtype=torch.float64), rtol=0, atol=1e-13)
    assert pulled.targets.abs().max() > 1e-4


def test_losses_are_the_textbook_ones() -> None:
    torch.manual_seed(11)
    logits, targets = torch.randn(4, CLASSES, dtype=torch.float64), torch.rand(4, CLASSES, dtype=torch.float64)
    torch.testing.assert_close(soft(logits, targets).mean(), softmax_cross_entropy(logits, targets))
    expected = softmax_cross_entropy(logits, targets, LONG_TAIL)
    torch.testing.assert_close(weighted(LONG_TAIL)(logits, targets).mean(), expected)
    classes = torch.tensor([2, 0, 1, 1])
    one_hot = nn.functional.one_hot(classes, CLASSES).double()
    torch.testing.assert_close(hard(logits, classes), soft(logits, one_hot))


def test_weights_that_are_fixed_are_constants() -> None:
    network, weights, images = world()
    classifier = {name: value for name, value in weights.items() if name.startswith("classifier")}
    encoder = {name: value + 0.1 for name, value in weights.items() if name not in classifier}
    objective, targets = Objective(network, soft, 2, fixed=encoder), targets_of(soft)
    whole = Objective(network, soft, 2)
    part, all_of_it = (
        gradient(objective, classifier, images, targets),
        gradient(whole, encoder | classifier, images, targets),
    )
    assert list(part) == list(classifier)
    for name, value in part.items():
        torch.testing.assert_close(value, all_of_it[name], rtol=0, atol=0)
    v = direction(classifier, 12)
    some = pull(v, objective, classifier, images, targets)
    # v of the classifier alone is v with zeros elsewhere; only the derivative in θ knows the difference.
    full = pull(v, whole, encoder | classifier, images, targets)
    torch.testing.assert_close(some.images, full.images, rtol=0, atol=1e-16)
    assert list(some.weights) == list(classifier) and list(full.weights) == list(encoder | classifier)


def test_without_the_weights_the_rest_is_the_same() -> None:
    network, weights, images = world()
    objective, targets, v = Objective(network, soft, 2), targets_of(soft), direction(weights, 13)
    without = pull(v, objective, weights, images, targets, through_weights=False)
    whole = pull(v, objective, weights, images, targets)
    assert without.weights == {}
    torch.testing.assert_close(without.images, whole.images, rtol=0, atol=1e-16)
    torch.testing.assert_close(without.targets, whole.targets, rtol=0, atol=1e-16)


class SquareWithoutForwardMode(torch.autograd.Function):
    """x², as a layer of a user's own may be: twice differentiable, and with no rule of its own for dual numbers."""

    @staticmethod
    def forward(context, values: Tensor) -> Tensor:
        context.save_for_backward(values)
        return values * values

    @staticmethod
    def backward(context, slopes: Tensor) -> Tensor:
        (values,) = context.saved_tensors
        return 2 * values * slopes


class Square(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, values: Tensor) -> Tensor:
        return self.function(values)


@pytest.mark.parametrize("through_weights", [True, False])
@pytest.mark.parametrize("loss", [hard, soft], ids=["hard", "soft"])
def test_a_network_without_a_forward_mode_has_the_same_derivatives(loss: Loss, through_weights: bool) -> None:
    found = []
    for function in (SquareWithoutForwardMode.apply, torch.square):
        torch.manual_seed(7)
        own = nn.Sequential(nn.Flatten(), nn.Linear(2 * 4 * 4, 4), Square(function), nn.Linear(4, CLASSES))
        network, weights, images = world(own)
        v = direction(weights, 5)
        del v["3.bias"]  # counts as 0
        objective = Objective(network, loss, 2)
        found.append(pull(v, objective, weights, images, targets_of(loss), through_weights=through_weights))
    one, other = found
    assert abs(float(other.value)) > 1e-3 and other.images.abs().max() > 1e-3
    torch.testing.assert_close(one.value, other.value, rtol=1e-12, atol=0)
    torch.testing.assert_close(one.images, other.images, rtol=1e-10, atol=1e-14)
    assert (one.targets is None) == (other.targets is None) == (loss is hard)
    if one.targets is not None:
        torch.testing.assert_close(one.targets, other.targets, rtol=1e-10, atol=1e-14)
    assert one.weights.keys() == other.weights.keys() and bool(one.weights) == through_weights
    for name, value in one.weights.items():
        torch.testing.assert_close(value, other.weights[name], rtol=1e-10, atol=1e-14)
