from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from csdm_cli.methods.gradient.distances import released_row_cosine, row_cosine, squared
from csdm_cli.methods.gradient.matched import match_gradients
from csdm_cli.networks import build
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.training.second_order import Objective, Weights, gradient, hard, soft

CLASSES = 3
DISTANCES = pytest.mark.parametrize("distance", [row_cosine, released_row_cosine, squared])


def world() -> tuple[nn.Module, Weights, Tensor, Tensor]:
    """A network, its weights, the real images and the synthetic ones of a class."""
    network = build(NetworkSpec(name="convnet", depth=2, width=4, channels=1, size=8, classes=CLASSES), seed=0)
    torch.manual_seed(1)
    real, synthetic = torch.rand(6, 1, 8, 8, dtype=torch.float64), torch.rand(4, 1, 8, 8, dtype=torch.float64)
    return network.double(), {n: p.detach().clone() for n, p in network.double().named_parameters()}, real, synthetic


def of_class(images: Tensor, label: int = 2) -> Tensor:
    return torch.full((len(images),), label)


def in_one_graph(
    distance, real: Weights, network: nn.Module, weights: Weights, images: Tensor
) -> tuple[Tensor, Tensor]:
    """The released codes' way: the synthetic gradient with its graph."""
    leaves = {name: value.clone().requires_grad_(True) for name, value in weights.items()}
    x = images.clone().requires_grad_(True)
    loss = nn.functional.cross_entropy(functional_call(network, leaves, (x,)), of_class(images))
    g = torch.autograd.grad(loss, list(leaves.values()), create_graph=True)
    value = distance(real, dict(zip(leaves, g, strict=True)))
    (derivative,) = torch.autograd.grad(value, [x])
    return value.detach(), derivative


@DISTANCES
@pytest.mark.parametrize("at_once", [1, 3, 4])
def test_two_passes_equal_one_graph(distance, at_once: int) -> None:
    network, weights, real, synthetic = world()
    objective = Objective(network, hard, at_once)
    g = gradient(objective, weights, real, of_class(real))
    value, derivative = in_one_graph(distance, g, network, weights, synthetic)
    matched = match_gradients(distance, g, objective, weights, synthetic, of_class(synthetic))
    torch.testing.assert_close(matched.distance, value, rtol=1e-11, atol=0)
    torch.testing.assert_close(matched.images, derivative, rtol=1e-9, atol=1e-12)
    assert matched.targets is None and derivative.abs().max() > 1e-5


def test_permuted_images_have_permuted_derivatives() -> None:
    network, weights, real, synthetic = world()
    objective = Objective(network, hard, 2)
    g = gradient(objective, weights, real, of_class(real))
    order = torch.tensor([2, 0, 3, 1])
    plain, permuted = (
        match_gradients(row_cosine, g, objective, weights, images, of_class(images))
        for images in (synthetic, synthetic[order])
    )
    torch.testing.assert_close(permuted.images, plain.images[order], rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(("distance", "factor"), [(row_cosine, 1.0), (squared, 49.0)])
def test_a_loss_seven_times_as_large(distance, factor: float) -> None:
    network, weights, real, synthetic = world()
    found = []
    for scale in (1.0, 7.0):
        objective = Objective(network, lambda z, y, scale=scale: scale * hard(z, y), 4)
        g = gradient(objective, weights, real, of_class(real))
        found.append(match_gradients(distance, g, objective, weights, synthetic, of_class(synthetic)))
    torch.testing.assert_close(found[1].distance, factor * found[0].distance, rtol=1e-11, atol=0)
    torch.testing.assert_close(found[1].images, factor * found[0].images, rtol=1e-8, atol=1e-13)


def test_the_real_images_themselves_are_at_distance_zero() -> None:
    network, weights, real, _ = world()
    objective = Objective(network, hard, 4)
    g = gradient(objective, weights, real, of_class(real))
    matched = match_gradients(squared, g, objective, weights, real, of_class(real))
    assert matched.distance == 0 and not matched.images.any()
    assert float(match_gradients(row_cosine, g, objective, weights, real, of_class(real)).distance) < 1e-12


def test_soft_targets_have_a_derivative() -> None:
    network, weights, real, synthetic = world()
    objective = Objective(network, soft, 3)
    g = gradient(Objective(network, hard, 3), weights, real, of_class(real))
    torch.manual_seed(2)
    targets = torch.rand(4, CLASSES, dtype=torch.float64)
    matched = match_gradients(squared, g, objective, weights, synthetic, targets)

    def distance(y: Tensor) -> Tensor:
        return squared(g, gradient(objective, weights, synthetic, y))

    step = torch.zeros_like(targets)
    step[1, 2] = 1e-5
    slope = (distance(targets + step) - distance(targets - step)) / 2e-5
    assert float(matched.targets[1, 2]) == pytest.approx(float(slope), rel=1e-6)
