"""idm against its formula and its limits, through the teachers and through networks of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from csdm_cli.errors import UsageError
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.contract import Context
from csdm_cli.methods.matching.idm import Idm, IdmParameters
from csdm_cli.methods.statistics import Batch, ClassStatistics
from csdm_cli.runs.method_options import make_method
from csdm_cli.settings.sections import Distill
from csdm_cli.teachers.views import View
from tests.methods.tiny_world import (
    COUNTS,
    assembled,
    check_chunking,
    check_resumption,
    finished,
    gradient,
    make_data,
    make_pool,
)
from tests.reference import idm as oracle

CPU = torch.device("cpu")
POOL = {"pool": 4, "grow_every": 2, "pool_steps": 2}


def make_batch(teacher: int = 0) -> tuple[Batch, list[torch.Tensor]]:
    """Random features and logits of all classes, and the real features."""
    rng = torch.Generator().manual_seed(0)
    real = [torch.randn(n, 5, generator=rng, dtype=torch.float64) for n in COUNTS]
    features = torch.randn(12, 5, generator=rng, dtype=torch.float64, requires_grad=True)
    logits = torch.randn(12, 3, generator=rng, dtype=torch.float64, requires_grad=True)
    statistics = ClassStatistics(mean=torch.stack([part.mean(0) for part in real]))
    view = View(0, teacher, "final", None, 0)
    return Batch(0, 3, 4, features, statistics, None, logits, view=view), real


def terms(parameters: IdmParameters, batch: Batch) -> dict[str, torch.Tensor]:
    method = Idm(parameters)
    method.prepare(Context(COUNTS, CPU, torch.float64, pool=make_pool()))
    return method.losses(batch, 0)


@pytest.mark.parametrize("teacher", [0, 1])
@pytest.mark.parametrize("by_accuracy", [True, False])
def test_loss_is_the_formulas(teacher, by_accuracy):
    batch, real = make_batch(teacher)
    # of the teachers' accuracies per class, over all images of the long tail
    predictions = [
        [c if i < round(n * make_pool().train_accuracy[teacher][c]) else -1 for i in range(n)]
        for c, n in zip(range(3), (36, 24, 12), strict=True)
    ]
    percent = oracle.right_percent(predictions, (36, 24, 12)) if by_accuracy else 1.0
    expected = oracle.loss(real, list(batch.features.split(4)), list(batch.logits.split(4)), 0.7, percent)
    found = terms(IdmParameters(ce_weight=0.7, by_accuracy=by_accuracy), batch)
    assert float(sum(found.values()).detach()) == pytest.approx(expected, rel=1e-12, abs=1e-9)


def test_gradients_equal_finite_differences():
    batch, _ = make_batch()

    def of(features: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        return sum(terms(IdmParameters(), replace(batch, features=features, logits=logits)).values())

    assert torch.autograd.gradcheck(of, (batch.features, batch.logits))


def test_without_cross_entropy_it_is_dm(tmp_path):
    alone, base = assembled(tmp_path, "idm", option={"ce_weight": 0}), assembled(tmp_path, "dm")
    for step in range(3):
        assert gradient(alone, step)[0] == gradient(base, step)[0]
        assert torch.equal(gradient(alone, step)[1], gradient(base, step)[1])


@pytest.mark.parametrize("option", [{}, POOL], ids=["teachers", "pool"])
def test_chunks_of_classes_and_pieces_of_a_class_give_the_same(tmp_path, option):
    parts = assembled(tmp_path, "idm", option=option)
    for step in range(5):
        check_chunking(parts, step, rtol=1e-9, atol=1e-12)
        parts.method.after_step(step)


def test_every_option_changes_the_loss(tmp_path):
    def losses(**option) -> list[float]:
        run = finished(assembled(tmp_path, "idm", option=option), tmp_path / str(option))
        return sum(run.history.values()).tolist()

    teachers, own = losses(), losses(**POOL)
    assert teachers != pytest.approx(own)
    for option in ({"ce_weight": 0.2}, {"by_accuracy": False}):
        assert losses(**option) != pytest.approx(teachers)
    for option in ({"pool": 2}, {"grow_every": 1}, {"pool_steps": 3}, {"pool_trained": 1}):
        assert losses(**POOL | option) != pytest.approx(own)


def test_idle_options_are_those_of_the_other_networks():
    assert Idm(IdmParameters()).idle_options() == {"grow_every", "pool_steps", "pool_trained", "meter"}
    assert Idm(IdmParameters(pool=3, ce_weight=0)).idle_options() == {"teacher_schedule", "by_accuracy"}
    with pytest.raises(UsageError, match="--teacher-schedule has no effect"):
        make_method(Distill(method="idm", option={"pool": 3}), frozenset({"teacher_schedule"}))


def members(parts) -> list[int]:
    return [int(v) for name, v in sorted(parts.method.state_dict().items()) if name.endswith(".number")]


def test_the_pool_starts_with_three_grows_and_forgets_its_oldest(tmp_path):
    parts = assembled(tmp_path, "idm", option={"pool": 4, "grow_every": 2, "pool_steps": 1, "pool_trained": 1})
    grown = []
    for step in range(6):
        parts.iterate(step)
        parts.method.after_step(step)
        grown.append(members(parts))
    first, second, third = [0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 4]
    assert grown == [first, second, second, third, third, [2, 3, 4, 5]]
    assert members(assembled(tmp_path, "idm", option={"pool": 2})) == [0, 1]


def test_every_member_of_the_pool_learns_sooner_or_later(tmp_path):
    """One of three learns in an iteration, 18 images at a time: which, is drawn anew."""
    learning = {"pool": 3, "pool_steps": 1, "pool_trained": 1, "grow_every": 100}
    parts = assembled(tmp_path, "idm", option=learning)
    for step in range(12):
        parts.method.after_step(step)
    seen = [int(parts.method.state_dict()[f"pool.{place}.seen"]) for place in range(3)]
    assert sum(seen) == 12 * 18 and min(seen) > 0


def test_accuracies_begin_anew_when_the_meter_is_reset(tmp_path):
    """Two members learn from all 18 images an iteration; after the second and the fourth that is forgotten."""
    learning = {"pool": 2, "pool_steps": 1, "pool_trained": 2, "grow_every": 100}
    seen = {}
    for meter in (0, 2):
        parts = assembled(tmp_path / str(meter), "idm", option=learning | {"meter": meter})
        seen[meter] = []
        for step in range(5):
            parts.method.after_step(step)
            state = parts.method.state_dict()
            seen[meter].append(int(state["pool.0.seen"]))
            assert int(state["pool.0.right"]) <= int(state["pool.0.seen"])
    assert seen == {0: [18, 36, 54, 72, 90], 2: [18, 0, 18, 0, 18]}


def test_every_member_is_looked_through_equally_often(tmp_path):
    parts = assembled(tmp_path, "idm", option={"pool": 5})
    networks, drawn = parts.networks, {}
    for step in range(300):
        network = networks.at(
            int(torch.randint(len(networks), (), generator=torch.Generator().manual_seed(step))), "final"
        )
        drawn[id(network)] = drawn.get(id(network), 0) + 1
    assert len(drawn) == 3 and min(drawn.values()) > 70
    assert len({parts.real.at(step).view.teacher for step in range(20)}) == 20


def test_members_learn_by_plain_sgd_and_their_accuracy_counts_every_batch(tmp_path):
    parts = assembled(tmp_path, "idm", option=POOL | {"pool_steps": 3, "pool_trained": 9})
    before = {name: value.clone() for name, value in parts.method.state_dict().items()}
    parts.method.after_step(0)
    after = parts.method.state_dict()
    data = make_data()
    # fewer than a batch: every batch is the whole set, in some order
    images, labels = normalise(data.images.double() / 255, data.mean, data.std), data.labels
    for place in range(3):
        assert int(before[f"pool.{place}.seen"]) == int(before[f"pool.{place}.right"]) == 0
        network = parts.networks._members[place].network.double()
        names = dict(network.named_parameters())
        own = {name: before[f"pool.{place}.network.{name}"].clone().requires_grad_(True) for name in names}
        speed = {name: torch.zeros_like(value) for name, value in own.items()}
        right = 0
        for _ in range(3):
            logits = torch.func.functional_call(network, own, (images,))
            right += int((logits.argmax(1) == labels).sum())
            loss = -logits.log_softmax(1)[torch.arange(len(labels)), labels].mean()
            for (name, value), grad in zip(own.items(), torch.autograd.grad(loss, own.values()), strict=True):
                speed[name] = 0.9 * speed[name] + grad + 5e-4 * value.detach()
            own = {name: (v - 0.01 * speed[name]).detach().requires_grad_(True) for name, v in own.items()}
        for name, value in own.items():
            torch.testing.assert_close(after[f"pool.{place}.network.{name}"], value.detach(), rtol=0, atol=1e-9)
        assert int(after[f"pool.{place}.right"]) == right and int(after[f"pool.{place}.seen"]) == 3 * sum(COUNTS)
        ticket = place * len(parts.networks) // 3 + 1
        assert float(parts.networks.accuracy(ticket)) == pytest.approx(100 * right / (3 * sum(COUNTS)))


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_a_pool_leaves_no_gradient_and_no_training_mode_behind(tmp_path, norm):
    parts = assembled(tmp_path, "idm", option=POOL, pool=make_pool(norm))
    finished(parts, tmp_path)
    for member in parts.networks._members:
        assert not member.network.training
        assert all(p.grad is None and not p.requires_grad for p in member.network.parameters())


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_run_with_a_pool_resumes_to_the_same_bytes(tmp_path, stop):
    check_resumption(tmp_path, stop, "idm", option=POOL)


def test_members_with_dropout_follow_from_the_seed_alone(tmp_path):
    def learnt(elsewhere: int) -> torch.Tensor:
        parts = assembled(tmp_path, "idm", option=POOL)
        for member in parts.networks._members:
            member.network.encoder.append(torch.nn.Dropout(0.5))
        torch.manual_seed(elsewhere)
        before = torch.get_rng_state()
        parts.method.after_step(0)
        assert torch.equal(torch.get_rng_state(), before)
        weights = [member.network.classifier.weight.flatten() for member in parts.networks._members]
        return torch.cat(weights).detach()

    assert torch.equal(learnt(1), learnt(2))


def test_another_seed_has_other_members(tmp_path):
    def weights(seed: int) -> torch.Tensor:
        state = assembled(tmp_path, "idm", option=POOL, seed=seed).method.state_dict()
        return state["pool.0.network.classifier.weight"]

    assert torch.equal(weights(0), weights(0)) and not torch.equal(weights(0), weights(1))


@pytest.mark.parametrize("option", [{}, POOL], ids=["teachers", "pool"])
def test_the_loss_falls(tmp_path, option):
    settings = {"iterations": 40, "draws": 1, "augment": "none", "schedule": "constant", "real_batch": 99}
    parts = assembled(tmp_path, "idm", torch.float32, option=option | {"by_accuracy": False}, **settings)
    history = finished(parts, tmp_path).history
    assert history["mean"][-8:].mean() < 0.5 * history["mean"][:8].mean()
    # the teachers know nothing here, so there is little to gain
    assert history["cross_entropy"][-8:].mean() < history["cross_entropy"][:8].mean()


def test_teachers_of_a_banked_run_need_no_real_images_and_a_pool_does(tmp_path):
    assert Idm(IdmParameters()).bankable and not Idm(IdmParameters(pool=1)).bankable
    with pytest.raises(UsageError, match="--real bank"):
        assembled(tmp_path, "idm", option=POOL, real="bank")
