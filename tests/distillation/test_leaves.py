"""The moving average of the pixels: its closed form, its exact resumption, and nothing where there is none."""

from __future__ import annotations

import math

import pytest
import torch

from csdm_cli.distillation.leaves import IMAGES, Leaves, PixelPlan
from csdm_cli.errors import UsageError
from csdm_cli.methods.learning import Learned
from csdm_cli.names import PixelOptimizer, Schedule
from csdm_cli.runs.choose import choose
from csdm_cli.settings import sections
from tests.methods.tiny_world import assembled, check_resumption, finished

DECAYS = [0.0, 0.5, 0.9, 0.999]


def moving(average: float, steps: int = 8, optimizer=PixelOptimizer.sgd) -> Leaves:
    plan = PixelPlan(optimizer, 0.1, Schedule.constant, steps, average)
    start = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Leaves(start, plan)


def push(pixels: Leaves, step: int) -> torch.Tensor:
    """A step along a gradient of its own; returns the images after it."""
    rng = torch.Generator().manual_seed(1 + step)
    pixels.images.grad = torch.randn(pixels.images.shape, generator=rng, dtype=torch.float64)
    pixels.step(step)
    return pixels.images.detach().clone()


def weighted(seen: list[torch.Tensor], decay: float) -> torch.Tensor:
    """Σ_t d^(T-t) x_t / Σ_t d^(T-t), term by term."""
    weights = [decay ** (len(seen) - 1 - t) for t in range(len(seen))]
    return sum(weight * images for weight, images in zip(weights, seen, strict=True)) / sum(weights)


@pytest.mark.parametrize("optimizer", list(PixelOptimizer))
@pytest.mark.parametrize("decay", DECAYS)
def test_after_every_step_it_is_the_weighted_mean_of_the_steps(decay, optimizer):
    pixels, seen = moving(decay, optimizer=optimizer), []
    for step in range(8):
        seen.append(push(pixels, step))
        assert torch.allclose(pixels.stored[IMAGES], weighted(seen, decay), rtol=0, atol=1e-14)
    assert pixels.stored[IMAGES].min() >= 0 and pixels.stored[IMAGES].max() <= 1
    assert torch.equal(pixels.stored[IMAGES], seen[-1]) == (decay == 0)


def test_the_initial_images_have_no_part_in_it():
    pixels = moving(0.999)
    assert torch.equal(pixels.stored[IMAGES], pixels.images)
    first = push(pixels, 0)
    assert torch.equal(pixels.stored[IMAGES], first)


def test_the_images_move_as_without_it():
    plain, averaged = moving(0.0), moving(0.9)
    for step in range(8):
        assert torch.equal(push(averaged, step), push(plain, step))
    assert plain.state_dict().keys() == averaged.state_dict().keys() - {"average.images", "averaged"}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_they_know_of_a_derivative_that_was_not_finite(value):
    """A derivative of the images, or of a tensor that is learned beside them; from then on."""
    for broken in ("images", "learned"):
        leaves = Leaves(torch.rand(2, 1, 2, 2), moving(0.0).plan, learned={"more": Learned(torch.zeros(3), 0.1)})
        for step in range(4):
            leaves.images.grad = torch.randn(2, 1, 2, 2)
            leaves.learned["more"].grad = torch.randn(3)
            if step == 2:
                grad = leaves.images.grad if broken == "images" else leaves.learned["more"].grad
                grad.view(-1)[1] = value
            leaves.step(step)
            assert leaves.finite == (step < 2)


@pytest.mark.parametrize("settings", [{}, {"engine": "textbook"}, {"iterations": 0}], ids=str)
def test_a_run_stores_the_average_of_its_optimiser_steps(tmp_path, settings):
    parts, plain = (assembled(tmp_path, "csdm", average=average, **settings) for average in (0.8, 0.0))
    seen = [parts.leaves.images.detach().clone()] if settings.get("iterations") == 0 else []
    step_of = parts.leaves.step

    def step(number: int) -> None:  # class by class there are many in an iteration
        step_of(number)
        seen.append(parts.leaves.images.detach().clone())

    parts.leaves.step = step
    found, without = finished(parts, tmp_path / "averaged"), finished(plain, tmp_path / "plain")
    assert torch.allclose(found.images, weighted(seen, 0.8), rtol=0, atol=1e-12)
    assert torch.equal(without.images, seen[-1])
    assert all(torch.equal(found.history[name], values) for name, values in without.history.items())


@pytest.mark.parametrize("settings", [{"optimizer": "sgd"}, {"optimizer": "adam"}, {"engine": "textbook"}], ids=str)
def test_a_run_cut_in_two_stores_the_same_bytes(tmp_path, settings):
    check_resumption(tmp_path, 4, "csdm", average=0.9, **settings)


@pytest.mark.parametrize("method", ["random", "herding", "rded"])
def test_it_is_refused_where_nothing_is_optimised(method):
    params = sections.Params(distill=sections.Distill(method=method, average=0.9))
    with pytest.raises(UsageError, match=f"--average has no effect on {method}, which optimises nothing"):
        choose(params, frozenset({"average"}))


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2])
def test_it_is_a_fraction_below_one(decay):
    with pytest.raises(ValueError, match="average"):
        sections.Distill(average=decay)
