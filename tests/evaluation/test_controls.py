from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from csdm_cli.evaluation import students
from csdm_cli.evaluation.controls import (
    FULL,
    ControlName,
    Selection,
    best_full,
    evaluate_full,
    evaluate_selections,
    random_images,
    tiled_images,
)
from csdm_cli.evaluation.protocol import Protocol
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.evaluation.scores import group_of_classes
from csdm_cli.evaluation.students import Evaluator, evaluate_set
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.initial import initial_images
from csdm_cli.images.normalisation import normalise
from csdm_cli.names import Initial
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.seeds import derive_seed
from csdm_cli.training.batches import Examples
from csdm_cli.training.debiased import two_heads
from csdm_cli.training.loop import train
from csdm_cli.training.losses import balanced_softmax, cross_entropy
from csdm_cli.training.recipe import Recipe
from tests.reference.decode import decode_slowly

SPEC = NetworkSpec("convnet", width=4, depth=2, channels=3, size=8, classes=3)
RECIPE = Recipe("adamw", 1e-2, 0.9, 0.01, 8, "color_crop_flip", "compose", 0.5, "cosine")
PROTOCOL = Protocol(RECIPE, steps=5, students=2, seed=11, test_points=1)


def contains(images: torch.Tensor, one: torch.Tensor) -> bool:
    return bool((images == one).flatten(1).all(1).any())


def test_random_images_are_real_ones_of_their_class(data: ImageSet):
    images = random_images(data, Selection(3, 2, seed=0))
    assert images.dtype == torch.uint8 and images.shape == (9, 3, 8, 8)
    for label in range(3):
        own = images[3 * label : 3 * label + 3]
        assert all(contains(data.of_class(label), image) for image in own)
        assert len({image.numpy().tobytes() for image in own}) == 3
    assert not torch.equal(images, random_images(data, Selection(3, 2, seed=1)))


def test_short_classes_are_repeated(data: ImageSet):
    images = random_images(data, Selection(5, 2, seed=0))
    assert len(images) == 15
    assert all(contains(images[10:], image) for image in data.of_class(2))  # all three, and then two again


def test_tiled_images_are_decoded_from_what_is_stored(data: ImageSet):
    images = tiled_images(data, Selection(2, 2, seed=0))
    stored = (initial_images(data, 2, 2, Initial.mix, 0) * 255).round() / 255
    torch.testing.assert_close(images, decode_slowly(stored, 2, 8))


def test_rows_of_the_selections(data: ImageSet, tmp_path: Path):
    rows = evaluate_selections(data, Selection(2, 2, 0), Evaluator(data, SPEC, PROTOCOL, "cpu", tmp_path, quiet=True))
    assert set(rows) == {ControlName.random, ControlName.tiled_random}
    for name, images in (
        (ControlName.random, random_images(data, Selection(2, 2, 0))),
        (ControlName.tiled_random, tiled_images(data, Selection(2, 2, 0))),
    ):
        labels = torch.arange(3).repeat_interleave(len(images) // 3)
        alone = evaluate_set(images, labels, data.counts, Evaluator(data, SPEC, PROTOCOL, "cpu", quiet=True))
        assert rows[name] == alone


def test_a_set_of_a_controls_images_has_the_controls_students(data: ImageSet):
    evaluator = Evaluator(data, SPEC, PROTOCOL, "cpu", quiet=True)
    rows = evaluate_selections(data, Selection(2, 2, 0), evaluator)
    for name, images in (
        (ControlName.random, random_images(data, Selection(2, 2, 0)).float() / 255),
        (ControlName.tiled_random, tiled_images(data, Selection(2, 2, 0))),
    ):
        as_stored = F.one_hot(torch.arange(3).repeat_interleave(len(images) // 3)).float()
        assert evaluate_set(images, as_stored, data.counts, evaluator).key == rows[name].key


def test_at_factor_1_tiles_are_random_images(data: ImageSet):
    rows = evaluate_selections(data, Selection(2, 1, 0), Evaluator(data, SPEC, PROTOCOL, "cpu", quiet=True))
    assert rows[ControlName.random] is rows[ControlName.tiled_random]
    torch.testing.assert_close(
        tiled_images(data, Selection(2, 1, 0)), random_images(data, Selection(2, 1, 0)).float() / 255
    )


def test_a_start_stands_in_the_place_of_tiles(data: ImageSet):
    start, evaluator = torch.rand(3 * 5, 3, 8, 8), Evaluator(data, SPEC, PROTOCOL, "cpu", quiet=True)
    rows = evaluate_selections(data, Selection(2, 1, 0), evaluator, start=start)
    assert list(rows) == [ControlName.random, ControlName.start]
    labels = torch.arange(3).repeat_interleave(5)
    assert rows[ControlName.start] == evaluate_set(start, labels, data.counts, evaluator)
    assert rows[ControlName.random] == evaluate_selections(data, Selection(2, 1, 0), evaluator)[ControlName.random]


def test_rows_of_the_full_set(data: ImageSet):
    rows = evaluate_full(data, Evaluator(data, SPEC, PROTOCOL, "cpu", quiet=True))
    assert tuple(rows) == FULL
    prior = torch.tensor(data.counts) / sum(data.counts)
    seed = derive_seed(11, "student", 1)
    examples = Examples(data.images, data.labels, data.mean, data.std)
    debiased = replace(RECIPE, sampling="debiased")
    for names, spec, recipe, loss in (
        (FULL[:2], SPEC, RECIPE, cross_entropy),
        (FULL[2:3], SPEC, RECIPE, balanced_softmax(data.counts)),
        (FULL[3:], replace(SPEC, classes=2 * SPEC.classes), debiased, two_heads),
    ):
        network = build(spec, derive_seed(seed, "weights"))
        train(network, examples, recipe, 5, derive_seed(seed, "training"), loss=loss)
        logits = network.eval()(normalise(data.images, data.mean, data.std))[:, -SPEC.classes :]
        for name, shift in zip(names, (0, -prior.log()), strict=False):
            right = ((logits + shift).argmax(1) == data.labels).double().mean()
            assert rows[name].students[1].curve[-1][1] == pytest.approx(float(right))


def test_controls_on_all_images_take_the_steps_asked_for(data: ImageSet):
    short, asked = Evaluator(data, SPEC, PROTOCOL, "cpu", quiet=True), replace(PROTOCOL, full_steps=7)
    rows = evaluate_full(data, replace(short, protocol=asked))
    assert {row.students[0].curve[-1][0] for row in rows.values()} == {7}
    assert {row.students[0].curve[-1][0] for row in evaluate_full(data, short).values()} == {5}


def test_cross_entropy_and_logit_adjustment_share_their_students(data: ImageSet, tmp_path: Path, monkeypatch):
    trainings = []
    original = students.train_together
    monkeypatch.setattr(students, "train_together", lambda *a, **k: trainings.append(1) or original(*a, **k))
    rows = evaluate_full(data, Evaluator(data, SPEC, PROTOCOL, "cpu", tmp_path, quiet=True))
    assert len(trainings) == 3 * 2  # two students of cross-entropy, of balanced softmax, and under the debiased recipe
    assert rows == evaluate_full(data, Evaluator(data, SPEC, PROTOCOL, "cpu", tmp_path, quiet=True))
    assert len(trainings) == 6


def test_the_best_full_control(data: ImageSet):
    rows = evaluate_full(data, Evaluator(data, SPEC, PROTOCOL, "cpu", quiet=True))
    best = best_full(rows)
    assert best in FULL and all(rows[best].accuracy.mean >= row.accuracy.mean for row in rows.values())
    assert isinstance(rows[best], Evaluation) and rows[best].groups == group_of_classes(data.counts)


def test_unequal_sets_have_controls_of_the_same_numbers(data: ImageSet):
    selection = Selection.like((3, 0, 1), factor=2, seed=0)
    assert (selection.ipc, selection.per_class) == (3, (3, 0, 1))
    images, labels = random_images(data, selection), selection.labels(3)
    assert labels.tolist() == [0, 0, 0, 2]
    assert torch.equal(images[:3], random_images(data, Selection(3, 2, seed=0))[:3])
    assert contains(data.of_class(2), images[3])
    assert tiled_images(data, selection).shape == (16, 3, 8, 8)
    evaluator = Evaluator(data, SPEC, PROTOCOL, "cpu", quiet=True)
    expected = evaluate_set(images, labels, data.counts, evaluator, title="student")
    assert evaluate_selections(data, selection, evaluator)[ControlName.random].students == expected.students


def test_equal_sets_need_no_count_of_each_class():
    assert Selection.like((2, 2, 2), factor=1, seed=3) == Selection(2, 1, 3)
