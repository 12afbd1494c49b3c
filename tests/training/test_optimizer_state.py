from __future__ import annotations

import pytest
import torch
from torch import nn

from csdm_cli.training.optimizer_state import averages, averages_fit, restore_averages


def steps_of(count: int, optimizer_of, layer: nn.Linear, start=None, first: int = 0):
    """``layer`` after steps on squares of its outputs, and its optimiser."""
    optimizer = optimizer_of(layer.parameters())
    if start is not None:
        restore_averages(optimizer, layer.parameters(), start)
    for step in range(first, first + count):
        optimizer.zero_grad()
        inputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(step))
        layer(inputs).square().mean().backward()
        optimizer.step()
    return layer, optimizer


def layer() -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(3, 2)


@pytest.mark.parametrize(
    "optimizer_of",
    [lambda p: torch.optim.AdamW(p, lr=0.1), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)],
    ids=["adamw", "sgd"],
)
def test_steps_go_on_as_if_the_optimiser_had_never_stopped(optimizer_of):
    whole, _ = steps_of(6, optimizer_of, layer())
    half, optimizer = steps_of(3, optimizer_of, layer())
    kept = averages(optimizer, half.parameters())
    assert kept and averages_fit(half.parameters(), kept)
    resumed, _ = steps_of(3, optimizer_of, half, start=kept | {"weight": torch.zeros(9)}, first=3)
    assert torch.equal(resumed.weight, whole.weight) and torch.equal(resumed.bias, whole.bias)
    without, _ = steps_of(3, optimizer_of, steps_of(3, optimizer_of, layer())[0], first=3)
    assert not torch.equal(without.weight, whole.weight)


def test_what_is_put_back_is_a_copy():
    trained, optimizer = steps_of(2, lambda p: torch.optim.AdamW(p, lr=0.1), layer())
    kept = {name: value.clone() for name, value in averages(optimizer, trained.parameters()).items()}
    before = {name: value.clone() for name, value in kept.items()}
    steps_of(2, lambda p: torch.optim.AdamW(p, lr=0.1), trained, start=kept)
    assert all(torch.equal(kept[name], before[name]) for name in before)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("optimizer.2.exp_avg", (2,)), ("optimizer.x.exp_avg", (2,)), ("optimizer.1.exp_avg", (3,)), ("optimizer.1.", ())],
)
def test_averages_of_other_parameters_do_not_fit(name, shape):
    fitting = {"optimizer.1.exp_avg": torch.zeros(2), "optimizer.0.step": torch.ones(())}
    assert averages_fit(layer().parameters(), fitting)
    assert not averages_fit(layer().parameters(), fitting | {name: torch.zeros(shape)})
