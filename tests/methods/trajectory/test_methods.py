"""mtt, ftd, datm and lad: limits in which they are each other, or something that is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from csdm_cli.distillation.checkpoint import Checkpoint
from csdm_cli.distillation.decoded import learning_iteration
from csdm_cli.distillation.leaves import Leaves, PixelPlan
from csdm_cli.distillation.loop import optimise
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods import load
from csdm_cli.methods.learning import LABEL_LOGITS, LOG_STEP
from csdm_cli.methods.trajectory import base
from csdm_cli.methods.trajectory.base import MOST_SKIPPED
from csdm_cli.names import ExpertOptimizer, PixelOptimizer, Schedule
from csdm_cli.parameterisations.parameterisation import Shape
from csdm_cli.parameterisations.pixels import Pixels
from csdm_cli.teachers.teaching import is_classifier
from csdm_cli.training.unrolled import Unroll
from tests.methods.trajectory.followed import (
    SPEC,
    derivatives,
    known_experts,
    make_data,
    one_hot_logits,
    prepared,
    scene_of,
    start_images,
    with_points,
)

NAMES = ("mtt", "ftd", "datm", "lad")
ALL = {"student_batch": 0, "augment": "none"}
BALANCED = (6, 6, 6)


def close(one, other, rtol=1e-9, atol=1e-12):
    torch.testing.assert_close(one, other, rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", NAMES)
def test_a_student_that_stands_still_loses_one_and_pulls_nothing(name):
    method = prepared(name, step_size=0.0, step_size_lr=0.0)
    loss, found = derivatives(method, scene_of(method))
    assert loss == pytest.approx(1.5 if name == "lad" else 1.0, abs=1e-12)  # lad's weights are 1 and 0.5
    assert all(not value.any() for value in found.values())


def test_the_step_size_s_derivative_at_a_standstill():
    method = prepared("mtt", step_size=1e-9, **ALL)
    scene = scene_of(method)
    _, found = derivatives(method, scene)
    segment = method.segment(0)
    network = method.network.requires_grad_(True)
    network.load_state_dict(segment.start)
    seen = normalise(start_images(), method.data.mean, method.data.std)
    own = torch.autograd.grad(cross_entropy(network(seen), scene.labels), list(network.parameters()))
    ways = [segment.start[name] - segment.target[name] for name, _ in network.named_parameters()]
    inner, square = (sum((way * other).sum() for way, other in zip(ways, o, strict=True)) for o in (own, ways))
    expected = -2 * inner / square * method.parameters.student_steps  # in α; in log α it is α times that
    assert float(found[LOG_STEP]) == pytest.approx(1e-9 * float(expected), rel=1e-6)


def test_an_expert_that_learned_from_the_images_is_followed_to_the_end():
    method = prepared("mtt", latest=1, step_size=0.1, student_steps=4, **ALL)
    scene = scene_of(method)
    expert = method.expert(method.experts_pool, 0)
    weights = method.weights(method.experts_pool, expert, 0)
    seen = normalise(start_images(), method.data.mean, method.data.std)
    for _ in range(4):
        leaves = {name: value.clone().requires_grad_(True) for name, value in weights.items()}
        loss = cross_entropy(torch.func.functional_call(method.network, leaves, (seen,)), scene.labels)
        moves = torch.autograd.grad(loss, list(leaves.values()))
        weights = {name: value - 0.1 * move for (name, value), move in zip(weights.items(), moves, strict=True)}
    again = prepared(
        "mtt",
        with_points(known_experts(), {(expert, 2): weights}),
        **{"latest": 1, "step_size": 0.1, "student_steps": 4, **ALL},
    )
    loss, found = derivatives(again, scene)
    assert loss == pytest.approx(0, abs=1e-20)
    assert found["images"].abs().max() < 1e-9
    assert derivatives(method, scene_of(method))[0] > 0.5  # of an expert that learned from something else


@pytest.mark.parametrize("name", NAMES)
def test_the_adjoint_is_the_whole_graph_s(name):
    free = {} if name in ("mtt", "ftd") else {"threshold": 0.0}
    modes = (Unroll.adjoint, Unroll.unrolled, Unroll.tesla)
    exact, plain, rough = (prepared(name, unroll=mode, **free) for mode in modes)
    one, other, third = (derivatives(method, scene_of(method), step=3) for method in (exact, plain, rough))
    assert one[0] == pytest.approx(other[0], rel=1e-12) == pytest.approx(third[0], rel=1e-12)
    for leaf, value in one[1].items():
        assert value.abs().max() > 0
        close(value, other[1][leaf], rtol=1e-8)
    assert not torch.allclose(one[1]["images"], third[1]["images"], rtol=1e-6)


def test_tesla_is_exact_for_one_step_of_the_student_and_errs_in_proportion_to_the_step_size():
    def error(name: str, **options) -> float:
        one, other = (
            derivatives(method, scene_of(method))[1]["images"]
            for method in (prepared(name, unroll=mode, **options) for mode in (Unroll.tesla, Unroll.unrolled))
        )
        return float((one - other).norm() / other.norm())

    assert error("mtt", student_steps=1) < 1e-12
    assert error("datm", student_steps=1, threshold=0.0) < 1e-12
    assert error("lad", student_steps=1, classifier_steps=1) < 1e-12
    errors = [error("mtt", step_size=size) for size in (0.01, 0.001, 0.0001)]
    assert errors[0] > 1e-3
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.2) and errors[1] / errors[2] == pytest.approx(10, rel=0.05)


def test_datm_with_labels_that_are_classes_is_mtt():
    mtt, datm = prepared("mtt"), prepared("datm", threshold=0.0)
    plain = scene_of(mtt)
    soft = scene_of(datm, labels=one_hot_logits(plain))
    for step in range(3):
        one, other = derivatives(mtt, plain, step), derivatives(datm, soft, step)
        assert one[0] == pytest.approx(other[0], rel=1e-12)
    for leaf in ("images", LOG_STEP):
        close(plain.images.grad, soft.images.grad)
        close(one[1][leaf], other[1][leaf])


def test_ftd_is_mtt_on_other_experts():
    one, other = (derivatives(method, scene_of(method)) for method in (prepared("mtt"), prepared("ftd")))
    assert one[0] == other[0] and torch.equal(one[1]["images"], other[1]["images"])
    assert (
        load("mtt").experts.optimizer is ExpertOptimizer.sgd and load("ftd").experts.optimizer is ExpertOptimizer.gsam
    )


def test_labels_move_along_differences_of_logits():
    method = prepared("datm", threshold=0.0)
    _, found = derivatives(method, scene_of(method))
    assert found[LABEL_LOGITS].abs().max() > 0
    assert found[LABEL_LOGITS].sum(1).abs().max() < 1e-15


def test_the_window_grows():
    method = prepared("datm", earliest=1, latest_at_first=2, latest=3, grown_after=50)
    assert {method.start_of(0)} == {1} and {method.start_of(step) for step in range(50, 90)} == {1, 2}


def test_lad_on_balanced_counts_without_classifiers_is_datm():
    options = {"matched": "all", "classifier": 0.0, "threshold": 0.0}
    lad = prepared("lad", counts=BALANCED, **options)
    datm = prepared("datm", counts=BALANCED, threshold=0.0)
    labels = torch.randn(9, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    one, other = (derivatives(method, scene_of(method, labels=labels), 2) for method in (lad, datm))
    assert one[0] == pytest.approx(other[0], rel=1e-12)
    for leaf, value in one[1].items():
        close(value, other[1][leaf])
    tail = prepared("lad", counts=(9, 6, 3), **options)
    assert derivatives(tail, scene_of(tail, labels=labels), 2)[0] != pytest.approx(other[0], rel=1e-6)
    released = prepared(
        "lad", counts=BALANCED, class_weights="released", step_size=0.15, **options
    )  # steps 1/C as long
    assert derivatives(released, scene_of(released, labels=labels), 2)[0] == pytest.approx(other[0], rel=1e-12)


def test_lad_weighs_classes_by_their_images_and_the_floor():
    """C·(n + f)/Σ(n + f) of 9, 6 and 3 images: with f = 6 that is 15, 12 and 9 of 12."""
    assert prepared("lad").class_weights.tolist() == pytest.approx([1.5, 1.0, 0.5])
    assert prepared("lad", count_floor=6).class_weights.tolist() == pytest.approx([1.25, 1.0, 0.75])
    released = prepared("lad", count_floor=6, class_weights="released").class_weights
    assert released.tolist() == pytest.approx([15 / 36, 12 / 36, 9 / 36])


def test_the_representation_loss_reads_no_classifier_s_target():
    pool = known_experts()
    options = {"classifier": 0.0, "latest": 1}
    method = prepared("lad", pool, **options)
    moved = {
        (expert, 2): {
            name: value + (1 if is_classifier(name) else 0)
            for name, value in pool.weights(expert, ("epoch", 2)).items()
        }
        for expert in range(2)
    }
    other = prepared("lad", with_points(pool, moved), **options)
    one, two = (derivatives(m, scene_of(m)) for m in (method, other))
    assert one[0] == two[0] and torch.equal(one[1]["images"], two[1]["images"])
    whole = prepared("lad", with_points(pool, moved), matched="all", **options)
    assert derivatives(whole, scene_of(whole))[0] != pytest.approx(one[0], rel=1e-6)


def test_the_classifier_loss_is_of_classifiers_alone():
    pool = known_experts()
    method = prepared("lad", pool, representation=0.0)
    pool.read.clear()
    pool.classifiers.read.clear()
    scene = scene_of(method)
    asked = len(pool.classifiers.read)
    loss, _ = derivatives(method, scene)
    (first, second) = pool.classifiers.read[asked:]
    assert not pool.read and first[0] == second[0] and (first[1], second[1]) == (0, 2)
    (stretch,) = method.stretches(0)
    assert set(stretch.segment.start) == {"classifier.weight", "classifier.bias"} and loss > 0
    assert set(stretch.objective.fixed) | set(stretch.segment.start) == set(method.network.state_dict())


def test_lad_is_linear_in_its_weights():
    def at(representation: float, classifier: float):
        method = prepared("lad", representation=representation, classifier=classifier)
        return derivatives(method, scene_of(method))

    first, second, both = at(1, 0), at(0, 1), at(0.3, 2)
    assert both[0] == pytest.approx(0.3 * first[0] + 2 * second[0], rel=1e-12)
    for leaf, value in both[1].items():
        close(value, 0.3 * first[1][leaf] + 2 * second[1][leaf])


def run(name: str, folder, stop: int | None = None, steps: int = 5, **options):
    """A run from its checkpoint in ``folder``, or the start, to the end or to an interruption."""
    method = prepared(name, **options)
    form = Pixels(Shape(3, 3, 8), 3)
    plan = PixelPlan(PixelOptimizer.sgd, 0.5, Schedule.constant, steps)
    leaves = Leaves(start_images(), plan, learned=method.learned(start_images()))

    def iterate(step: int):
        if step == stop:
            raise InterruptedError
        return learning_iteration(leaves, form, method, step)

    checkpoint = Checkpoint(folder, "run", 0 if stop else 1e9)
    return optimise(leaves, method, iterate, checkpoint, quiet=True), leaves


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_run_gives_the_same_bytes(name, tmp_path):
    options = {} if name in ("mtt", "ftd") else {"threshold": 0.0}
    whole, there = run(name, tmp_path / "whole", **options)
    with pytest.raises(InterruptedError):
        run(name, tmp_path / "cut", stop=3, **options)
    again, here = run(name, tmp_path / "cut", **options)
    assert torch.equal(again.images, whole.images) and not torch.equal(whole.images, start_images())
    assert all(torch.equal(again.history[term], values) for term, values in whole.history.items())
    assert there.learned.keys() == here.learned.keys() >= {LOG_STEP}
    for leaf, value in there.learned.items():
        assert torch.equal(value, here.learned[leaf])


def test_steps_that_lose_too_much_move_nothing(tmp_path):
    found, leaves = run("datm", tmp_path, threshold=1e-9)
    assert torch.equal(found.images, start_images()) and found.history["trajectory"].min() > 1e-9
    state = leaves.state_dict()
    assert not any(name.startswith("optimizer.") for name in state)  # no momentum either
    learned = prepared("datm").learned(start_images())
    assert all(torch.equal(leaves.learned[name], own.start) for name, own in learned.items())


def test_a_loss_at_the_threshold_moves_the_images_and_one_beyond_it_does_not():
    free = prepared("datm", threshold=0.0)
    loss, expected = derivatives(free, scene_of(free))
    for threshold, moves in ((loss, True), (loss * (1 - 1e-9), False)):
        method = prepared("datm", threshold=threshold)
        scene = scene_of(method)
        assert float(sum(method.step(scene, 0).values())) == loss
        assert (scene.images.grad is not None and torch.equal(scene.images.grad, expected["images"])) == moves


def test_a_run_in_which_nothing_ever_moves_ends_with_a_word():
    method = prepared("datm", threshold=1e-9, student_steps=1)
    method.load_state_dict({"skipped": torch.tensor(MOST_SKIPPED - 2)})
    method.step(scene_of(method), 0)
    assert int(method.state_dict()["skipped"]) == MOST_SKIPPED - 1
    with pytest.raises(CsdmError, match=r"lower --option step_size .* raise the threshold"):
        method.step(scene_of(method), 1)


def test_a_step_that_counts_ends_the_row_of_those_that_do_not():
    method = prepared("datm", threshold=0.0, student_steps=1)
    method.load_state_dict({"skipped": torch.tensor(MOST_SKIPPED - 1)})
    method.step(scene_of(method), 0)
    assert int(method.state_dict()["skipped"]) == 0


def test_every_image_of_every_step_of_a_student_has_an_augmentation_of_its_own(monkeypatch):
    thetas, original = [], base.draw

    def watched(*given):
        thetas.append(original(*given))
        return thetas[-1]

    monkeypatch.setattr(base, "draw", watched)
    method = prepared("mtt", augment="color", student_steps=4)  # minibatches of 4, 4 and 1, and again 4 images
    method.step(scene_of(method), 0)
    drawn = {tuple(map(tuple, theta.values.tolist())) for theta in thetas}  # a minibatch is asked for more than once
    assert sorted(map(len, drawn)) == [1, 4, 4, 4]
    rows = [row for theta in drawn for row in theta]
    assert len(set(rows)) == len(rows)


def test_minibatches_are_cuts_of_permutations_and_functions_of_the_steps():
    method = prepared("mtt", student_steps=7)
    (stretch,) = method.stretches(7)
    cuts = method._order(9, stretch, 7)
    assert [len(cut) for cut in cuts] == [4, 4, 1, 4, 4, 1, 4]
    passes = [torch.cat(cuts[first : first + 3]).tolist() for first in (0, 3)]
    assert all(sorted(shown) == list(range(9)) for shown in passes) and passes[0] != passes[1]
    assert all(torch.equal(a, b) for a, b in zip(cuts, method._order(9, stretch, 7), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(cuts, method._order(9, stretch, 8), strict=True))


def test_all_experts_are_followed_before_one_is_again():
    pool = known_experts(count=5)
    method = prepared("mtt", pool)
    order = [method.expert(pool, step) for step in range(50)]
    turns = [order[first : first + 5] for first in range(0, 50, 5)]
    assert all(sorted(turn) == list(range(5)) for turn in turns) and len({tuple(turn) for turn in turns}) > 1


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("mtt", {"latest": 4}, "give --option latest=3, or train experts with csdm pretrain --expert-snapshots 5"),
        ("datm", {"earliest": 2}, "is empty or shrinks"),
        ("datm", {"latest_at_first": 1}, "needs iterations to grow over"),
        ("lad", {"classifier_ahead": 9}, "cannot be matched 9 points ahead"),
        ("lad", {"representation": 0.0, "classifier": 0.0}, "nothing is matched"),
    ],
)
def test_what_cannot_be_followed_is_refused(name, options, words):
    with pytest.raises(UsageError, match=words):
        prepared(name, **options)


def test_an_expert_that_stands_still_is_said_to():
    pool = known_experts()
    still = {(expert, 2): pool.weights(expert, ("epoch", 0)) for expert in range(2)}
    method = prepared("mtt", with_points(pool, still), latest=1)
    with pytest.raises(CsdmError, match="an expert did not move"):
        method.step(scene_of(method), 0)


def test_a_student_that_diverges_names_what_to_lower():
    method = prepared("mtt", step_size=1e200)
    with pytest.raises(CsdmError, match=r"diverged.*--option step_size"):
        method.step(scene_of(method), 0)


def test_options_without_effect_are_known():
    def idle(name: str, **options):
        cls = load(name)
        return cls(cls.Parameters("none", "single", **options)).idle_options()

    labels = {"labels", "temperature", "prior_calibration"}
    assert idle("datm") == labels | {"grown_after"} and idle("datm", latest_at_first=2) == labels
    assert idle("mtt") == frozenset()
    assert idle("lad", classifier=0.0) >= {"classifier_steps", "classifier_ahead"}
    assert "student_steps" in idle("lad", representation=0.0)


def test_networks_of_experts_keep_buffers_of_their_own():
    method = prepared("mtt")
    names = {name for name, _ in method.network.named_parameters()}
    assert set(method.segment(0).start) == names and method.experts_pool.spec == SPEC
    assert replace(make_data(), counts=BALANCED).classes == 3
