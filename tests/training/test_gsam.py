"""GSAM against its formulas: its limits, the length of the perturbation, and a training step written out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from csdm_cli.networks import NetworkSpec, build
from csdm_cli.training.batches import Batches, Examples
from csdm_cli.training.gsam import direction, perturbation
from csdm_cli.training.loop import TrainState, optimise, train
from csdm_cli.training.losses import cross_entropy
from csdm_cli.training.recipe import Recipe

SPEC = NetworkSpec("convnet", width=4, depth=2, channels=3, size=8, classes=3)
SGD = Recipe("sgd", 0.05, 0.0, 0.01, 7, "color_crop_flip", "single", 0.0, "constant")
GSAM = replace(SGD, optimizer="gsam", rho=0.02, ascent=0.4)


def examples() -> Examples:
    images = torch.rand(18, 3, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return Examples(images, torch.arange(18) % 3, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))


def after(recipe: Recipe, steps: int = 3, **options):
    network = build(SPEC, seed=1).double()
    train(network, examples(), recipe, steps, seed=5, **options)
    return [parameter.detach() for parameter in network.parameters()]


def lists(*seeds: int) -> list[list[torch.Tensor]]:
    draws = [torch.Generator().manual_seed(seed) for seed in seeds]
    return [[torch.randn(s, generator=rng, dtype=torch.float64) for s in ((3, 2), (4,))] for rng in draws]


def inner(one, other) -> float:
    return float(sum((a * b).sum() for a, b in zip(one, other, strict=True)))


def test_without_a_reach_it_is_plain_descent():
    for one, other in zip(after(replace(GSAM, rho=0.0)), after(SGD), strict=True):
        assert torch.equal(one, other)


def test_it_is_not_plain_descent_else():
    assert any(not torch.allclose(a, b, atol=1e-7) for a, b in zip(after(GSAM), after(SGD), strict=True))
    asam = after(replace(GSAM, ascent=0.0))
    assert any(not torch.allclose(a, b, atol=1e-9) for a, b in zip(after(GSAM), asam, strict=True))


def test_the_perturbation_reaches_rho_in_units_of_the_weights():
    weights, own = lists(0, 1)
    moves = perturbation(weights, own, 0.03)
    relative = [move / weight.abs() for move, weight in zip(moves, weights, strict=True)]
    assert inner(relative, relative) ** 0.5 == pytest.approx(0.03, rel=1e-12)
    assert all((move * gradient >= 0).all() for move, gradient in zip(moves, own, strict=True))  # uphill
    still = perturbation(weights, [torch.zeros_like(value) for value in own], 0.03)
    assert all(not move.any() for move in still)


@pytest.mark.parametrize("ascent", [0.0, 0.3, 1.0, 7.0])
def test_the_direction_s_part_along_the_moved_gradient_is_that_gradient(ascent):
    own, moved = lists(2, 3)
    found = direction(own, moved, ascent)
    assert inner(found, moved) == pytest.approx(inner(moved, moved), rel=1e-12)
    assert inner(found, found) - inner(moved, moved) == pytest.approx(
        ascent**2 * (inner(own, own) - inner(own, moved) ** 2 / inner(moved, moved)), rel=1e-9, abs=1e-12
    )


def test_a_step_is_the_formula_s():
    network = build(SPEC, seed=1).double()
    images, targets = Batches(examples(), GSAM, 5, 3).at(0)

    def gradient(weights):
        with torch.no_grad():
            for parameter, value in zip(network.parameters(), weights, strict=True):
                parameter.copy_(value)
        return torch.autograd.grad(cross_entropy(network(images), targets).mean(), list(network.parameters()))

    start = [parameter.detach().clone() for parameter in network.parameters()]
    g = gradient(start)
    length = sum(((w * d) ** 2).sum() for w, d in zip(start, g, strict=True)).sqrt()
    h = gradient([w + 0.02 * w**2 * d / length for w, d in zip(start, g, strict=True)])
    share = inner(g, h) / inner(h, h)
    wanted = [
        w - 0.05 * (b - 0.4 * (a - share * b) + 0.01 * w) for w, a, b in zip(start, g, h, strict=True)
    ]  # weight decay at the weights themselves
    for one, other in zip(after(GSAM, 1), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_frozen_weights_are_neither_moved_nor_counted():
    network = build(SPEC, seed=1).double()
    network.encoder.requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    train(network, examples(), GSAM, 3, seed=5)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_a_resumed_run_gives_the_same_bits():
    states: list[TrainState] = []
    whole = after(GSAM, 4, on_step=lambda moment: states.append(moment.state()))
    network = build(SPEC, seed=9).double()
    batches = Batches(examples(), GSAM, 5, 3)
    optimise(network, batches.at, GSAM, 4, 5, start=states[1])
    assert all(torch.equal(a, b.detach()) for a, b in zip(whole, network.parameters(), strict=True))
