from __future__ import annotations

import pytest
import torch
from torch import nn

from csdm_cli.images.augment import augment
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.gradient.base import MATCHING, one_draw_per_class
from csdm_cli.methods.learning import Scene
from csdm_cli.networks import build
from csdm_cli.seeds import derive_seed
from csdm_cli.training.batches import Batches, Examples
from csdm_cli.training.recipe import Recipe
from tests.methods.gradient.world import SPEC, beside_a_darker_class, data, moved, prepared, scene

METHODS = pytest.mark.parametrize("name", ["idc", "dream"])
OPERATIONS = "color_crop_cutout"


def real_scene() -> Scene:
    """Synthetic images that are the real ones, as many of every class."""
    real = data((4, 4, 4))
    return Scene((real.images.double() / 255).requires_grad_(True), 4)


@METHODS
@pytest.mark.parametrize("metric", ["l2", "l1"])
def test_the_real_images_themselves_are_at_distance_zero(name, metric) -> None:
    method = prepared(name, 4, data((4, 4, 4)), augment=OPERATIONS, option={"metric": metric, "early": 1})
    own = real_scene()
    with torch.no_grad():  # in the order in which the method sees the real ones
        for label in range(3):
            method._stale = True
            own.images[own.rows(label)] = method.real_images(label, 0).double() / 255
    assert float(method.step(own, 0)[MATCHING].sum()) < 1e-12
    if metric == "l2":  # l1 has no derivative there
        assert own.images.grad.abs().max() < 1e-12
    other = Scene((own.images.detach() * 0.9).requires_grad_(True), 4)
    assert float(method.step(other, 0)[MATCHING].sum()) > 1e-3


@pytest.mark.parametrize(("metric", "power"), [("l2", 2), ("l1", 1)])
@pytest.mark.parametrize("relative", [False, True])
def test_a_step_is_its_formula(metric, power, relative) -> None:
    method = prepared("idc", augment=OPERATIONS, option={"metric": metric, "relative": relative})
    own, real = scene(), data()
    network = build(SPEC, derive_seed(0, "net", 0)).double()
    weights = [value for name, value in network.named_parameters() if value.ndim == 4]
    theta, expected = one_draw_per_class(0, 0, 3, OPERATIONS, "single"), []
    for label in range(3):
        found = []
        for images in (method.real_images(label, 0).double() / 255, own.images.detach()[own.rows(label)]):
            seen = augment(normalise(images, real.mean, real.std), theta.rows([label]))
            loss = nn.functional.cross_entropy(network(seen), torch.full((len(images),), label))
            found.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)]))
        distance = float((found[0] - found[1]).abs().pow(power).sum())
        expected.append(distance / (float(found[0].abs().pow(power).sum()) if relative else 1))
    assert method.step(own, 0)[MATCHING].tolist() == pytest.approx(expected, rel=1e-9)


@METHODS
def test_a_class_that_changes_leaves_the_gradients_of_the_others_bit_equal(name) -> None:
    """At any step: the network never sees the synthetic images."""
    own = {"augment": OPERATIONS, "option": {"inner": 2, "early": 1}}
    plain, other = beside_a_darker_class(lambda: prepared(name, **own), 3)
    assert torch.equal(plain[:, :2], other[:, :2]) and torch.equal(plain[:, 4:], other[:, 4:])
    assert not torch.equal(plain[:, 2:4], other[:, 2:4])


@METHODS
def test_classes_by_themselves_have_the_bits_of_the_whole(name) -> None:
    """Whatever the class that a scene begins with: its draws, its labels and the network are those of the whole."""
    whole, own = prepared(name, augment=OPERATIONS, option={"inner": 2}), scene()
    parts = [(prepared(name, augment=OPERATIONS, option={"inner": 2}), first, last) for first, last in ((0, 1), (1, 3))]
    for step in range(2):
        own.images.grad, found = None, []
        losses = whole.step(own, step)[MATCHING]
        whole.after_move(own, step)
        for method, first, last in parts:
            images = own.images.detach()[2 * first : 2 * last].requires_grad_(True)
            part = Scene(images, 2, first=first)
            assert part.labels.tolist() == own.labels.tolist()[2 * first : 2 * last]
            assert torch.equal(method.step(part, step)[MATCHING], losses[first:last])
            method.after_move(part, step)
            found.append(images.grad)
        assert torch.equal(torch.cat(found), own.images.grad)


def test_the_network_learns_from_real_images_alone_and_early() -> None:
    weights = {}
    for early, per_class in ((0, 2), (3, 2), (3, 4)):
        method, own = prepared("idc", per_class, option={"early": early, "inner": 2}), scene(per_class)
        method.step(own, 0)
        weights[early, per_class] = dict(method.state_dict())
        method.after_move(own, 0)
        assert not torch.equal(
            method.state_dict()["network.classifier.weight"], weights[early, per_class]["network.classifier.weight"]
        )
    start = build(SPEC, derive_seed(0, "net", 0)).double().state_dict()
    assert torch.equal(weights[0, 2]["network.classifier.weight"], start["classifier.weight"])
    assert not torch.equal(weights[3, 2]["network.classifier.weight"], start["classifier.weight"])
    for name, value in weights[3, 2].items():
        assert torch.equal(value, weights[3, 4][name]), "the synthetic images have no part in it"


def test_the_network_s_steps_have_momentum_and_decay_on_augmented_and_mixed_real_images() -> None:
    """Written out: v ← 0.9·v + g + 5·10⁻⁴·w, w ← w − rate·v, in other batches after every step of the images."""
    method = prepared("idc", augment=OPERATIONS, option={"inner": 3, "network_lr": 0.1, "network_batch": 7})
    own, real = scene(), data()
    network = build(SPEC, derive_seed(0, "net", 0)).double()
    recipe = Recipe("sgd", 0.1, 0.9, 5e-4, 7, OPERATIONS, "single", 0.5, "steps")
    speed = [torch.zeros_like(weight) for weight in network.parameters()]
    mixed = 0
    for step in range(2):
        method.step(own, step)
        method.after_move(own, step)
        examples = Examples(real.images, real.labels, real.mean, real.std)
        batches = Batches(examples, recipe, derive_seed(0, "network", step), 3)
        for turn in range(3):
            images, targets = batches.at(turn)
            mixed += int(bool((targets.amax(1) < 1).any()))
            losses = -(targets * network(images.double()).log_softmax(1)).sum(1)
            slopes = torch.autograd.grad(losses.mean(), list(network.parameters()))
            with torch.no_grad():
                for weight, moving, slope in zip(network.parameters(), speed, slopes, strict=True):
                    moving.mul_(0.9).add_(slope + 5e-4 * weight)
                    weight.sub_(0.1 * moving)
    assert 0 < mixed < 6, "some batches are mixed, and some are not"
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(method.state_dict()[f"network.{name}"], weight, rtol=1e-8, atol=1e-11)


def test_losses_of_the_two_metrics_differ() -> None:
    assert moved(prepared("idc"), 1)[1] != moved(prepared("idc", option={"metric": "l1"}), 1)[1]
