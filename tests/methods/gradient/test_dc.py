"""dc and dsa as methods: what their steps depend on, and what not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from csdm_cli.images.augment import augment
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.gradient.base import MATCHING, Rounds, one_draw_per_class, real_minibatch, rounds_of
from csdm_cli.methods.gradient.distances import released_row_cosine, row_cosine
from csdm_cli.methods.learning import Scene
from csdm_cli.names import Precision
from csdm_cli.networks import build
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.seeds import derive_seed
from tests.methods.gradient.world import SPEC, beside_a_darker_class, data, moved, prepared, scene


def gradient_of(method, images: Tensor, per_class: int, step: int = 0) -> tuple[float, Tensor]:
    own = Scene(images.detach().clone().requires_grad_(True), per_class)
    loss = float(method.step(own, step)[MATCHING].sum())
    return loss, own.images.grad


def plainly(name: str, per_class: int, images: Tensor, operations: str, distance) -> tuple[Tensor, Tensor]:
    """The released loop's arithmetic: class after class, one graph of all, torch's own pooling."""
    real, x = data(), images.detach().clone().requires_grad_(True)
    network = build(SPEC, derive_seed(0, "net", 0)).double()
    weights = list(network.parameters())
    theta = one_draw_per_class(0, 0, real.classes, operations, "single")
    method, total = prepared(name, per_class, augment=operations) if name == "dsa" else prepared(name, per_class), 0
    for label in range(real.classes):
        found = []
        for own in (method.real_images(label, 0).double() / 255, x[label * per_class : (label + 1) * per_class]):
            seen = normalise(own, real.mean, real.std)
            seen = seen if theta is None else augment(seen, theta.rows([label]))
            loss = nn.functional.cross_entropy(network(seen), torch.full((len(own),), label))
            found.append(torch.autograd.grad(loss, weights, create_graph=True))
        named = [{str(n): g for n, g in enumerate(grads)} for grads in found]
        total = total + distance({n: g.detach() for n, g in named[0].items()}, named[1])
    (derivative,) = torch.autograd.grad(total, x)
    return total.detach(), derivative


@pytest.mark.parametrize("per_class", [2, 20], ids=["one piece", "pieces"])
@pytest.mark.parametrize(("name", "operations"), [("dc", "none"), ("dsa", "none"), ("dsa", "color_crop_rotate")])
@pytest.mark.parametrize(("rows", "distance"), [("cosine", row_cosine), ("released", released_row_cosine)])
def test_a_step_is_the_released_loop_s_arithmetic(monkeypatch, name, operations, per_class, rows, distance) -> None:
    monkeypatch.setattr("csdm_cli.methods.gradient.base.differentiated_at_once", lambda network, images: 8)
    augment = {"augment": operations} if name == "dsa" else {}
    method = prepared(name, per_class, option={"row_distance": rows}, **augment)
    images = scene(per_class).images
    loss, found = gradient_of(method, images, per_class)
    value, derivative = plainly(name, per_class, images, operations, distance)
    assert loss == pytest.approx(float(value), rel=1e-10)
    torch.testing.assert_close(found, derivative, rtol=1e-8, atol=1e-11)
    assert derivative.abs().max() > 1e-4


def test_half_the_precision_gives_nearly_the_same_derivative() -> None:
    found = []
    for numerics in (PLAIN, Numerics(Precision.bf16)):
        method = prepared("dc", dtype=torch.float32, numerics=numerics)
        own = Scene(scene().images.detach().float().requires_grad_(True), 2)
        method.step(own, 0)
        method.after_move(own, 0)  # the network learns
        found.append((own.images.grad.double().flatten(), method.state_dict()))
    (plain, _), (half, state) = found
    assert not torch.equal(plain, half) and float(torch.cosine_similarity(plain, half, 0)) > 0.95
    assert all(value.dtype is torch.float32 for value in state.values() if value.is_floating_point())


def test_permuting_a_class_permutes_its_gradient_and_leaves_the_others() -> None:
    method, images, order = prepared("dc", 4), scene(4).images.detach(), torch.tensor([2, 0, 3, 1])
    permuted = images.clone()
    permuted[4:8] = images[4:8][order]
    loss, plain = gradient_of(method, images, 4)
    other, found = gradient_of(method, permuted, 4)
    assert other == pytest.approx(loss, rel=1e-12)
    torch.testing.assert_close(found[4:8], plain[4:8][order], rtol=1e-9, atol=1e-13)
    assert torch.equal(found[:4], plain[:4]) and torch.equal(found[8:], plain[8:])


@pytest.mark.parametrize("name", ["dc", "dsa"])
def test_the_network_couples_the_classes(name) -> None:
    """A class that changes leaves the others' gradients as they are until the network has learned from it."""
    plain, other = beside_a_darker_class(lambda: prepared(name, option={"outer": 5, "inner": 2}), 2)
    first = scene().rows(0)
    assert torch.equal(plain[0, first], other[0, first]) and not torch.equal(plain[1, first], other[1, first])


def test_dsa_without_operations_is_dc() -> None:
    for steps in (1, 5):
        option = {"outer": 3, "inner": 2}
        one, losses = moved(prepared("dc", option=option), steps)
        other, same = moved(prepared("dsa", option=option, augment="none"), steps)
        assert torch.equal(one.images, other.images) and losses == same
    other, same = moved(prepared("dsa", option=option, augment="color_crop"), steps)
    assert same != losses


def test_with_one_step_per_network_the_inner_loop_does_not_count() -> None:
    """The network is the initial one of every round: how long it would learn changes nothing."""
    one, losses = moved(prepared("dc", option={"outer": 1, "inner": 1}), 3)
    other, same = moved(prepared("dc", option={"outer": 1, "inner": 30, "network_lr": 5.0}), 3)
    assert torch.equal(one.images, other.images) and losses == same
    assert len(set(losses)) == 3
    _, different = moved(prepared("dc", option={"outer": 3, "inner": 30}), 3)
    assert different[0] == losses[0] and different[1:] != losses[1:]


def test_the_network_learns_between_steps_as_plain_sgd_does() -> None:
    method = prepared("dc", option={"outer": 2, "inner": 3, "network_lr": 0.1})
    own = scene()
    method.step(own, 0)
    network = build(SPEC, derive_seed(0, "net", 0)).double()
    seen = normalise(own.images.detach(), data().mean, data().std)
    for _ in range(3):
        network.zero_grad()
        nn.functional.cross_entropy(network(seen), own.labels).backward()
        with torch.no_grad():
            for weight in network.parameters():
                weight.sub_(0.1 * weight.grad)
    method.after_move(own, 0)
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(method.state_dict()[f"network.{name}"], weight, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("per_class", "expected"), [(1, (1, 1)), (2, (10, 50)), (10, (10, 50)), (11, (50, 10)), (50, (50, 10))]
)
def test_rounds_are_the_papers_where_they_are_left_open(per_class, expected) -> None:
    """At 1, 10 and 50 images per class 1, 10 and 50 steps of the images, and between two of them 1, 50 and 10."""
    assert rounds_of(Rounds(256), per_class) == expected
    assert rounds_of(Rounds(256, outer=3), per_class) == (3, expected[1])
    assert rounds_of(Rounds(256, inner=4), per_class) == (expected[0], 4)


def test_real_images_are_drawn_anew_in_every_step() -> None:
    real = data((9, 9, 3))

    def drawn(label: int, step: int, seed: int = 0) -> list[int]:
        own = real.of_class(label)
        images = real_minibatch(real, label, 4, seed, step)
        return [int((own == image).flatten(1).all(1).nonzero()) for image in images]

    assert len(set(drawn(0, 0))) == 4 and drawn(0, 0) == drawn(0, 0)
    assert len({tuple(drawn(0, step)) for step in range(5)}) == 5
    assert drawn(0, 1) != drawn(1, 1) and drawn(0, 1) != drawn(0, 1, seed=1)
    assert sorted(drawn(2, 7)) == [0, 1, 2]


def test_every_class_and_step_has_a_draw_of_augmentation_of_its_own() -> None:
    assert one_draw_per_class(0, 0, 3, "none", "single") is None
    draws = [one_draw_per_class(0, step, 3, "color", "single") for step in (0, 1, 0)]
    assert all(len(theta) == 3 and len(theta.values.unique(dim=0)) == 3 for theta in draws)
    assert torch.equal(draws[0].values, draws[2].values) and not torch.equal(draws[0].values, draws[1].values)
