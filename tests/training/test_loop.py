from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from csdm_cli.errors import CsdmError
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.networks.network import EncoderNetwork
from csdm_cli.training import inference, loop
from csdm_cli.training.batches import Batches, Examples
from csdm_cli.training.inference import images_at_once, predict
from csdm_cli.training.loop import train
from csdm_cli.training.losses import balanced_softmax, cross_entropy
from csdm_cli.training.recipe import Recipe
from tests.reference.training import learning_rate, positions, train_slowly

MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)
SPEC = NetworkSpec("convnet", width=4, depth=2, channels=3, size=8, classes=3)
STUDENT = Recipe("adamw", 1e-2, 0.9, 0.01, 7, "color_crop_flip_scale_rotate", "compose", 0.5, "cosine")
TEACHER = Recipe("sgd", 0.05, 0.9, 5e-4, 7, "color_crop_cutout_flip_scale_rotate", "single", 0.5, "steps")


def examples(count: int = 18, dtype: torch.dtype = torch.uint8) -> Examples:
    rng = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (count, 3, 8, 8), generator=rng)
    images = images.to(dtype) if dtype is torch.uint8 else images.to(dtype) / 255
    return Examples(images, torch.arange(count) % 3, MEAN, STD)


def weights_after(recipe: Recipe, steps: int, **options) -> dict[str, torch.Tensor]:
    network = build(SPEC, seed=1)
    train(network, examples(), recipe, steps, seed=5, **options)
    return network.state_dict()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("recipe", [STUDENT, TEACHER])
@pytest.mark.parametrize("counts", [None, (40, 5, 1)])
def test_equals_the_slow_loop(recipe: Recipe, counts, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loop, "images_at_once", lambda images: 3)  # parts of 3, 3 and 1
    data = examples(dtype=torch.float64)
    fast, slow = build(SPEC, seed=1).double(), build(SPEC, seed=1).double()
    train(fast, data, recipe, 6, seed=5, loss=balanced_softmax(counts) if counts else cross_entropy)
    targets = torch.nn.functional.one_hot(data.targets, 3).double()
    log_weights = torch.tensor(counts).double().log() if counts else None
    train_slowly(slow, data.images, targets, MEAN, STD, recipe, 6, 5, log_weights)
    for one, other in zip(fast.parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def test_soft_targets_of_one_class_equal_hard_ones():
    data = examples()
    soft = replace(data, targets=torch.nn.functional.one_hot(data.targets, 3).float())
    hard_net, soft_net = build(SPEC, seed=1), build(SPEC, seed=1)
    train(hard_net, data, STUDENT, 3, seed=5)
    train(soft_net, soft, STUDENT, 3, seed=5)
    assert same(hard_net.state_dict(), soft_net.state_dict())


def test_the_seed_decides_every_byte_and_the_global_state_none():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = weights_after(TEACHER, 4)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert same(first, weights_after(TEACHER, 4))
    other = build(SPEC, seed=1)
    train(other, examples(), TEACHER, 4, seed=6)
    assert not same(first, other.state_dict())


@pytest.mark.parametrize("recipe", [STUDENT, TEACHER])
def test_a_resumed_run_equals_an_uninterrupted_one(recipe: Recipe):
    kept = []
    whole = weights_after(recipe, 6, on_step=lambda moment: kept.append(moment.state()))
    for state in kept:
        network = build(SPEC, seed=99)  # whatever it was
        train(network, examples(), recipe, 6, seed=5, start=state)
        assert same(whole, network.state_dict())


def test_dropout_draws_from_the_seed():
    class Dropping(EncoderNetwork):
        def __init__(self) -> None:
            super().__init__(nn.Sequential(nn.Flatten(), nn.Dropout(0.5)), 3 * 64, 3)

    def run(global_seed: int) -> torch.Tensor:
        torch.manual_seed(0)
        network = Dropping()
        torch.manual_seed(global_seed)
        train(network, examples(), STUDENT, 3, seed=5)
        return network.classifier.weight.detach()

    assert torch.equal(run(1), run(2))


def test_every_step_drops_other_numbers():
    masks = []

    class Watched(nn.Dropout):
        def forward(self, given: torch.Tensor) -> torch.Tensor:
            masks.append(super().forward(torch.ones_like(given)) > 0)
            return super().forward(given)

    network = EncoderNetwork(nn.Sequential(nn.Flatten(), Watched(0.5)), 3 * 64, 3)
    train(network, examples(), STUDENT, 4, seed=5)
    assert len(masks) == 4 and all(0.3 < mask.double().mean() < 0.7 for mask in masks)
    assert all(not torch.equal(one, other) for place, one in enumerate(masks) for other in masks[:place])


def test_batch_norm_sees_the_whole_batch(monkeypatch: pytest.MonkeyPatch):
    spec = replace(SPEC, norm="batch")
    weights = []
    for size in (2, 100):
        monkeypatch.setattr(loop, "images_at_once", lambda images, size=size: size)
        network = build(spec, seed=1)
        train(network, examples(), STUDENT, 2, seed=5)
        weights.append(network.state_dict())
    assert same(*weights)


@pytest.mark.parametrize(("count", "batch"), [(18, 7), (5, 128), (12, 4), (9, 8)])
def test_every_epoch_shows_every_image_once(count: int, batch: int):
    data = examples(count)
    steps = 12
    seen: list[int] = []
    batches = Batches(data, replace(STUDENT, batch=batch), seed=5, classes=3)
    for step in range(steps):
        index = batches._index(step).tolist()
        assert index == positions(count, batch, step, 5)
        assert len(index) == min(batch, count)
        seen += index
    for epoch in range(len(seen) // count):
        assert sorted(seen[epoch * count : (epoch + 1) * count]) == list(range(count))


@pytest.mark.parametrize("recipe", [STUDENT, TEACHER])
@pytest.mark.parametrize("steps", [1, 6, 7, 100])
def test_schedules(recipe: Recipe, steps: int):
    rates = [recipe.lr_at(step, steps) for step in range(steps)]
    assert rates == pytest.approx([learning_rate(recipe, step, steps) for step in range(steps)])
    assert rates[0] == recipe.lr and sorted(rates, reverse=True) == rates


def test_one_step_of_sgd_without_extras_is_the_gradient():
    recipe = Recipe("sgd", 0.1, 0.0, 0.0, 18, "none", "single", 0.0, "cosine")
    data = examples(dtype=torch.float64)
    network, other = build(SPEC, seed=1).double(), build(SPEC, seed=1).double()
    losses: list[float] = []
    train(network, data, recipe, 1, seed=0, on_step=lambda moment: losses.append(float(moment.loss)))
    inputs = (data.images - torch.tensor(MEAN).double().view(1, 3, 1, 1)) / torch.tensor(STD).double().view(1, 3, 1, 1)
    loss = torch.nn.functional.cross_entropy(other(inputs), data.targets)
    loss.backward()
    assert losses == pytest.approx([loss.item()], abs=1e-6)
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two - 0.1 * two.grad, rtol=0, atol=1e-6)


def test_divergence_is_an_error_in_words():
    with pytest.raises(CsdmError, match=r"diverged.*lower the learning rate"):
        weights_after(replace(TEACHER, lr=1e30), 4)


def test_recipe_survives_json():
    assert Recipe(**STUDENT.as_dict()) == STUDENT


def test_predictions_do_not_depend_on_the_parts(monkeypatch: pytest.MonkeyPatch):
    network = build(replace(SPEC, norm="batch"), seed=1).double()
    images = examples(dtype=torch.float64).images
    whole = predict(network, images, MEAN, STD)
    monkeypatch.setattr(inference, "images_at_once", lambda images, network: 5)
    torch.testing.assert_close(predict(network, images, MEAN, STD), whole, rtol=0, atol=1e-12)
    assert network.training  # as it was before
    inputs = (images - torch.tensor(MEAN).double().view(1, 3, 1, 1)) / torch.tensor(STD).double().view(1, 3, 1, 1)
    torch.testing.assert_close(whole, network.eval()(inputs), rtol=0, atol=1e-6)


def test_parts_hold_about_as_many_pixels_whatever_the_image_size():
    assert images_at_once(torch.empty(1, 3, 32, 32)) == 16
    assert images_at_once(torch.empty(1, 3, 8, 8)) == 256
    assert images_at_once(torch.empty(1, 3, 224, 224)) == 4
