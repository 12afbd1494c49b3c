from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.gradient.base import real_minibatch
from csdm_cli.methods.gradient.cafe import ALIGNMENT, DISCRIMINATION
from csdm_cli.methods.gradient.layers import activations, class_means
from csdm_cli.methods.learning import Scene
from csdm_cli.networks import build
from csdm_cli.seeds import derive_seed
from csdm_cli.training.batches import Batches, Examples
from csdm_cli.training.recipe import Recipe
from tests.methods.gradient.world import SPEC, data, prepared, scene

EVEN = (4, 4, 4)


def layers_by_hand(network: nn.Module, images: Tensor) -> list[Tensor]:
    """The outputs of conv, norm and ReLU of both blocks, and of the last pooling."""
    found, x = [], images
    for layer in network.encoder:
        x = layer(x)
        if isinstance(layer, nn.ReLU):
            found.append(x)
    return [*found, x]


def terms_by_hand(method, own: Scene, real_batch: int) -> tuple[Tensor, Tensor]:
    """The formula, class by class, through torch's own pooling."""
    network, real = build(SPEC, derive_seed(0, "net", 0)).double(), data()
    alignment, entropy, centres, features = 0, 0, [], []
    for label in range(3):
        t = real_minibatch(real, label, real_batch, 0, 0).double() / 255
        both = [layers_by_hand(network, normalise(x, real.mean, real.std)) for x in (t, own.images[own.rows(label)])]
        for weight, f, g in zip((0.1, 0.1, 1 + 1), *both, strict=True):
            alignment = alignment + weight * (f.mean(0) - g.mean(0)).square().sum()
        features.append(both[0][-1].flatten(1))
        centres.append(both[1][-1].flatten(1).mean(0))
    for label, own_features in enumerate(features):
        probabilities = (own_features @ torch.stack(centres).T).softmax(1)[:, label]
        entropy = entropy - real_batch / len(own_features) * probabilities.log().sum()
    return alignment, 0.01 * entropy


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_a_step_is_its_formula(monkeypatch, at_once) -> None:
    monkeypatch.setattr("csdm_cli.methods.gradient.cafe.images_at_once", lambda images: at_once)
    own = scene(4)
    method = prepared("cafe", 4)
    terms = method.step(own, 0)
    alignment, discrimination = terms_by_hand(method, own, 5)
    (expected,) = torch.autograd.grad(alignment + discrimination, own.images)
    assert float(terms[ALIGNMENT]) == pytest.approx(alignment.item(), rel=1e-10)
    assert float(terms[DISCRIMINATION]) == pytest.approx(discrimination.item(), rel=1e-10)
    torch.testing.assert_close(own.images.grad, expected, rtol=1e-8, atol=1e-12)


def test_the_real_images_themselves_are_aligned() -> None:
    real = data(EVEN)
    own = Scene((real.images.double() / 255).requires_grad_(True), 4)
    method = prepared("cafe", 4, real, augment="color_crop", option={"discrimination": 0})
    terms = method.step(own, 0)
    assert float(terms[ALIGNMENT]) == pytest.approx(0, abs=1e-24) and float(terms[DISCRIMINATION]) == 0
    assert own.images.grad.abs().max() < 1e-12
    shifted = Scene((own.images.detach() * 0.9).requires_grad_(True), 4)
    assert float(method.step(shifted, 0)[ALIGNMENT]) > 1e-3


def test_with_the_last_layer_alone_it_is_dm() -> None:
    """Σ_c ‖mean f(T_c) − mean f(S_c)‖², with a new network every step."""
    method, real = (
        prepared("cafe", real_batch=100, option={"discrimination": 0, "layers": "last", "most_steps": 1}),
        data(),
    )
    own = scene()
    for step in range(3):
        own.images.grad = None
        terms = method.step(own, step)
        network, expected = build(SPEC, derive_seed(0, "net", step)).double(), 0.0
        for label in range(3):
            both = (real.of_class(label).double() / 255, own.images[own.rows(label)])
            t, s = (network.features(normalise(x, real.mean, real.std)).mean(0) for x in both)
            expected = expected + (t - s).square().sum()
        (gradient,) = torch.autograd.grad(expected, own.images)
        assert float(terms[ALIGNMENT]) == pytest.approx(expected.item(), rel=1e-10)
        torch.testing.assert_close(own.images.grad, gradient, rtol=1e-8, atol=1e-12)
        method.after_move(own, step)


def loops(steps: int, **option) -> list[tuple[int, int]]:
    """After every step of the images, the number of networks so far, and epochs that the network took."""
    method, own, found = prepared("cafe", option=option), scene(), []
    for step in range(steps):
        method._epochs = 0
        method.step(own, step)
        method.after_move(own, step)
        found.append((method._round, method._epochs))
    return found


def test_forced_thresholds() -> None:
    """λ1 above any range: exactly ten steps per network. λ2 = 0: ten epochs, if anything changed in them."""
    found = loops(21, settled=2.0, moved=0.0, network_lr=1.0)
    assert [number for number, _ in found] == [0] * 9 + [1] * 10 + [2] * 2
    assert all(epochs >= 10 for number, epochs in found[:9]) and 10 in [epochs for _, epochs in found]
    assert [epochs for _, epochs in found][9] == 0, "a network that is dropped learns no more"


def test_both_loops_are_capped() -> None:
    still = {"settled": 1e-6, "moved": 1e6}  # never settled, never moved enough
    assert loops(7, most_steps=3, most_epochs=4, **still) == [(0, 4), (0, 4), (1, 0), (1, 4), (1, 4), (2, 0), (2, 4)]


def test_the_network_learns_epoch_after_epoch_as_plain_sgd_does() -> None:
    """Three epochs of the six synthetic images in batches of four, after each of two steps, written out."""
    still = {"settled": 1e-6, "moved": 1e6, "most_epochs": 3}
    method, own, real = prepared("cafe", option=still | {"network_batch": 4, "network_lr": 0.1}), scene(), data()
    network = build(SPEC, derive_seed(0, "net", 0)).double()
    recipe = Recipe("sgd", 0.1, 0.0, 0.0, 4, "none", "single", 0.0, "steps")
    for step in range(2):
        method.step(own, step)
        method.after_move(own, step)
        examples = Examples(own.images.detach(), own.labels, real.mean, real.std)
        batches = Batches(examples, recipe, derive_seed(0, "network", step), 3)
        for turn in range(3 * 2):
            images, targets = batches.at(turn)
            loss = -(targets * network(images).log_softmax(1)).sum(1).mean()
            slopes = torch.autograd.grad(loss, list(network.parameters()))
            with torch.no_grad():
                for weight, slope in zip(network.parameters(), slopes, strict=True):
                    weight.sub_(0.1 * slope)
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(method.state_dict()[f"network.{name}"], weight, rtol=1e-8, atol=1e-11)


def test_accuracy_is_of_fixed_images_in_which_all_classes_count_alike() -> None:
    method = prepared("cafe", option={"query": 4})
    assert [len(own) for own in method._query] == [4, 4, 3]
    again = prepared("cafe", option={"query": 4})
    assert all(torch.equal(one, other) for one, other in zip(method._query, again._query, strict=True))
    with torch.no_grad():  # a network that says class 2 of everything
        method._network.classifier.weight.zero_()
        method._network.classifier.bias.copy_(torch.tensor([0.0, 0.0, 1.0]))
    assert method._accuracy() == pytest.approx(1 / 3, rel=1e-12)


def test_discrimination_does_not_depend_on_the_order_of_classes_and_vanishes_for_clear_ones() -> None:
    method = prepared("cafe")
    torch.manual_seed(0)
    features, centres = [torch.randn(5, 6).double() for _ in range(3)], torch.randn(3, 6).double()
    order = [2, 0, 1]
    found = method._terms([centres], features, [centres])[DISCRIMINATION]
    other = method._terms([centres], [features[n] for n in order], [centres[order]])[DISCRIMINATION]
    assert float(found) == pytest.approx(float(other), rel=1e-12) and float(found) > 0.01
    clear = torch.eye(3).double()
    found = method._terms([clear], [clear[n].expand(4, 3) for n in range(3)], [1e3 * clear])[DISCRIMINATION]
    assert float(found) == pytest.approx(0, abs=1e-12)


def test_counters_are_kept() -> None:
    option = {"window": 3, "settled": 2.0, "most_epochs": 2}
    whole, own = prepared("cafe", option=option), scene()
    for step in range(2):
        whole.step(own, step)
        whole.after_move(own, step)
    again = prepared("cafe", option=option)
    again.load_state_dict(whole.state_dict())
    assert again._measured == whole._measured and len(again._measured) == 2
    for method in (whole, again):
        method.step(scene(), 2)
        method.after_move(scene(), 2)
        assert method._round == 1, "the third accuracy settles it"
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())


def test_layers_and_their_means() -> None:
    network = build(SPEC, seed=0).double()
    images = scene(3).images.detach()
    for found, expected in zip(activations(network, images), layers_by_hand(network, images), strict=True):
        torch.testing.assert_close(found, expected)
    for mean, layer in zip(class_means(network, images, 2)[0], layers_by_hand(network, images), strict=True):
        torch.testing.assert_close(mean, layer.mean(0), rtol=1e-12, atol=1e-12)
    assert not any(module._forward_hooks for module in network.modules())
