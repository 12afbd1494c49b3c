"""Forgetting is counted as defined, on a history that follows from the seed."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods.selection.rules.history import by_forgetting, forgetting_events, learning_history
from csdm_cli.names import TeacherLoss
from csdm_cli.networks import build
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.seeds import derive_seed
from csdm_cli.teachers.teaching import TeachingPlan
from csdm_cli.training.batches import Examples
from csdm_cli.training.inference import predict
from csdm_cli.training.loop import train
from csdm_cli.training.losses import log_prior
from csdm_cli.training.recipe import Duration
from tests.methods.selection.worlds import RECIPE, small_set
from tests.reference.selection import forgetting_order

SPEC = NetworkSpec("convnet", 4, 2, "instance", "avg", 3, 8, 3)


def lesson(loss=TeacherLoss.cross_entropy, epochs=3) -> TeachingPlan:
    return TeachingPlan(small_set(), SPEC, Duration(epochs=epochs), loss, RECIPE, trajectory=False)


@given(
    st.integers(1, 7).flatmap(
        lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=2, max_size=6)
    ),
    st.booleans(),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60)
def test_the_order_is_that_of_a_plain_count(right, first, random):
    order = random.sample(range(len(right[0])), len(right[0]))
    found = by_forgetting(torch.tensor(right), first, torch.tensor(order))
    assert found.tolist() == forgetting_order(right, float("inf") if first else 0, order)


def test_events_by_hand():
    right = torch.tensor([[1, 0, 0, 1], [0, 0, 1, 1], [1, 0, 0, 1], [0, 0, 1, 1]], dtype=torch.bool)
    assert forgetting_events(right).tolist() == [2, 0, 1, 0]
    order = torch.arange(4)
    assert by_forgetting(right, True, order).tolist() == [1, 0, 2, 3]
    assert by_forgetting(right, False, order).tolist() == [0, 2, 1, 3]


def test_every_epoch_is_what_a_training_stopped_there_gets_right():
    """18 images in batches of 4: epochs end after steps 5, 9 and 14; the rate is constant until two thirds."""
    right = learning_history(lesson(), 7)
    assert right.shape == (3, 18) and right.dtype == torch.bool
    data = small_set()
    examples = Examples(data.images, data.labels, data.mean, data.std)
    network = build(SPEC, derive_seed(7, "weights"))
    kept = []

    def keep(moment):
        if moment.step in (5, 9, 14):
            kept.append(predict(moment.network, data.images, data.mean, data.std).argmax(1) == data.labels)

    train(network, examples, RECIPE, 14, derive_seed(7, "training"), on_step=keep)
    assert torch.equal(right, torch.stack(kept))


def test_the_seed_decides_and_every_loss_gives_a_history_of_its_own():
    one = learning_history(lesson(), 0)
    assert torch.equal(one, learning_history(lesson(), 0))
    assert not torch.equal(one, learning_history(lesson(), 1))
    found = [learning_history(lesson(loss), 0) for loss in TeacherLoss]
    assert not torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_logit_adjustment_tests_by_lowered_logits():
    """A network that says nothing decides for the head; lowered by the priors, for the tail."""
    flat = ImageSet(
        torch.full((18, 3, 8, 8), 128, dtype=torch.uint8), (9, 6, 3), ("a", "b", "c"), (0.5,) * 3, (0.2,) * 3
    )
    plain = TeachingPlan(flat, SPEC, Duration(epochs=12), TeacherLoss.cross_entropy, RECIPE, trajectory=False)
    adjusted = TeachingPlan(flat, SPEC, Duration(epochs=12), TeacherLoss.logit_adjustment, RECIPE, trajectory=False)
    assert learning_history(plain, 0)[-1].tolist() == [True] * 9 + [False] * 9
    last = learning_history(adjusted, 0)[-1]
    assert log_prior(flat.counts).argmin() == 2 and last.tolist() != [True] * 9 + [False] * 9
