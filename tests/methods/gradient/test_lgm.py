"""lgm's gradient is that of the textbook, and in expectation a flow with a second moment beside it."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.methods.contract import Context
from csdm_cli.methods.gradient.lgm import Lgm, LgmParameters, classifier_gradient
from csdm_cli.methods.learning import Scene
from csdm_cli.names import AugmentMode
from tests.methods.tiny_world import make_data, make_pool
from tests.reference import lgm as textbook

C, D = 3, 5


def features(seed: int, each: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(C).repeat_interleave(each)
    means = torch.randn(C, D, generator=rng, dtype=torch.float64)
    return means[labels] + torch.randn(C * each, D, generator=rng, dtype=torch.float64), labels


def test_the_closed_form_is_the_gradient():
    z, labels = features(0)
    weights = 0.3 * torch.randn(C, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = textbook.classifier_gradient(z, labels, weights)
    found = classifier_gradient(z, labels, weights)
    assert torch.allclose(torch.cat([found[:, :D].flatten(), found[:, D]]), expected, atol=1e-14, rtol=0)


def test_in_expectation_it_matches_flows_and_a_little_of_the_second_moment():
    """E Σ_c |ΔG_c|² = Σ_c |ΔF_c|² + σ²·(C−1)/C²·|ΔM|² + O(σ⁴), by Monte Carlo with its error."""
    (real, labels), (own, _) = features(0), features(1)
    sigma, draws = 0.05, 4000

    def flow(z: torch.Tensor) -> torch.Tensor:
        return classifier_gradient(z, labels, torch.zeros(C, D, dtype=torch.float64))[:, :D]

    moments = real.T @ real / len(real) - own.T @ own / len(own)
    plain = (flow(real) - flow(own)).square().sum()
    expected = float(sigma**2 * (C - 1) / C**2 * moments.square().sum())
    rng = torch.Generator().manual_seed(2)
    beyond = []
    for _ in range(draws):
        weights = sigma * torch.randn(C, D, generator=rng, dtype=torch.float64)
        pair = [  # W and -W, whose odd parts cancel
            (classifier_gradient(real, labels, w) - classifier_gradient(own, labels, w))[:, :D].square().sum() - plain
            for w in (weights, -weights)
        ]
        beyond.append(float(sum(pair)) / 2)
    found = torch.tensor(beyond, dtype=torch.float64)
    error = float(found.std() / draws**0.5)
    assert error < 0.05 * expected
    assert abs(float(found.mean()) - expected) < 4 * error + 0.05 * expected  # the latter for σ⁴


def prepared(**options) -> tuple[Lgm, Scene]:
    chosen = {"real_batch": 3, "augment": "none", "augment_mode": AugmentMode.single, "copies": 1} | options
    method, data = Lgm(LgmParameters(**chosen)), make_data()
    context = Context(data.counts, torch.device("cpu"), torch.float64, 2, 0, make_pool(), data)
    method.prepare(context)
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return method, Scene(images.requires_grad_(True), 2)


def loss_at(method: Lgm, scene: Scene, step: int = 0) -> float:
    return float(method.step(Scene(scene.images.detach().clone().requires_grad_(True), 2), step)["gradient"])


@pytest.mark.parametrize("options", [{}, {"copies": 3, "augment": "flip_scale_color"}], ids=str)
def test_the_derivative_in_the_images_is_that_of_the_loss(options):
    method, scene = prepared(**options)
    method.step(scene, 0)
    assert scene.images.grad is not None
    rng = torch.Generator().manual_seed(5)
    for _ in range(3):
        direction = torch.randn(scene.images.shape, generator=rng, dtype=torch.float64)
        ahead, behind = (Scene(scene.images.detach() + s * 1e-6 * direction, 2) for s in (1, -1))
        slope = (loss_at(method, ahead) - loss_at(method, behind)) / 2e-6
        assert float((scene.images.grad * direction).sum()) == pytest.approx(slope, rel=1e-4, abs=1e-7)


def test_pieces_change_nothing(monkeypatch):
    method, scene = prepared(copies=2, augment="flip_scale")
    whole = method.step(scene, 1)["gradient"]
    monkeypatch.setattr("csdm_cli.methods.gradient.lgm.images_at_once", lambda images, network: 2)
    other = Scene(scene.images.detach().clone().requires_grad_(True), 2)
    torch.testing.assert_close(method.step(other, 1)["gradient"], whole)
    torch.testing.assert_close(other.images.grad, scene.images.grad)


def test_the_loss_is_the_textbook_s_at_the_step_s_classifier():
    method, scene = prepared()
    seen = {}
    original = Lgm._match

    def watched(self, network, weights, goal, *rest):
        seen.update(network=network, weights=weights, goal=goal)
        return original(self, network, weights, goal, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lgm, "_match", watched)
        found = method.step(scene, 0)["gradient"]
    from csdm_cli.images.normalisation import normalise

    data, index = make_data(), method._drawn(0)
    see = lambda images: seen["network"].features(normalise(images, data.mean, data.std))  # noqa: E731
    real = textbook.classifier_gradient(see(data.images[index].double() / 255), data.labels[index], seen["weights"])
    own = textbook.classifier_gradient(see(scene.images.detach()), scene.labels, seen["weights"])
    torch.testing.assert_close(found, textbook.loss(real, own).detach())
    assert float(seen["weights"].std()) == pytest.approx(0.01, rel=0.2)


def test_every_copy_has_augmentations_of_its_own():
    """Copies that were all alike would have the gradient, and so the loss, of a single one."""
    losses = []
    for copies in (1, 2, 3):
        method, scene = prepared(copies=copies, augment="color")
        losses.append(loss_at(method, scene))
    assert all(abs(one - other) > 1e-6 for one, other in zip(losses, losses[1:] + losses[:1], strict=True))


def test_every_step_has_a_classifier_of_its_own_and_the_teachers_take_turns(monkeypatch):
    seen = []
    original = Lgm._match
    monkeypatch.setattr(Lgm, "_match", lambda self, *given: seen.append(given[:2]) or original(self, *given))
    method, scene = prepared()
    for step in range(4):
        method.step(scene, step)
    teachers, classifiers = ([network.classifier.weight for network, _ in seen], [weights for _, weights in seen])
    assert all(not torch.equal(one, other) for place, one in enumerate(classifiers) for other in classifiers[:place])
    assert torch.equal(teachers[0], teachers[2]) and torch.equal(teachers[1], teachers[3])
    assert not torch.equal(teachers[0], teachers[1])
    again, same = prepared()
    again.step(same, 2)
    assert torch.equal(seen[-1][1], classifiers[2]), "whatever came before"


def test_real_images_are_drawn_as_asked():
    labels = make_data().labels
    shuffle = prepared(sampling="shuffle")[0]
    shuffled = torch.stack([labels[shuffle._drawn(step)].bincount(minlength=3) for step in range(2)])
    assert shuffled.sum(0).tolist() == [9, 6, 3]  # two halves of one shuffle
    assert labels[prepared()[0]._drawn(4)].bincount().tolist() == [3, 3, 3]
    balanced = prepared()[0]
    assert len({tuple(balanced._drawn(step).tolist()) for step in range(5)}) == 5
    assert torch.equal(balanced._drawn(2), prepared()[0]._drawn(2))


def test_augmentations_are_drawn_anew_in_every_step_for_each_side_and_copy():
    method, _ = prepared(augment="color")
    places = [(step, which) for step in (0, 1) for which in ("real", "copy 0", "copy 1")]
    drawn = [tuple(map(tuple, method._theta(6, *place).values.tolist())) for place in places]
    assert len({row for rows in drawn for row in rows}) == 6 * len(places)
    assert drawn[4] == tuple(map(tuple, prepared(augment="color")[0]._theta(6, *places[4]).values.tolist()))
