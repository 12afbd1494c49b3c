from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from csdm_cli.evaluation import students
from csdm_cli.evaluation.protocol import Protocol
from csdm_cli.evaluation.results import Evaluation, StudentRun
from csdm_cli.evaluation.scores import ClassGroups
from csdm_cli.evaluation.students import Evaluator, confusion_matrix, evaluate_set
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.normalisation import normalise
from csdm_cli.names import Parallel
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.seeds import derive_seed
from csdm_cli.training.batches import Examples
from csdm_cli.training.loop import train
from csdm_cli.training.recipe import Recipe

SPEC = NetworkSpec("convnet", width=4, depth=2, channels=3, size=8, classes=3)
RECIPE = Recipe("adamw", 1e-2, 0.9, 0.01, 4, "color_crop_flip", "compose", 0.5, "cosine")
PROTOCOL = Protocol(RECIPE, steps=6, students=3, seed=11, test_points=3)
COUNTS = (100, 10, 1)


@pytest.fixture
def learnt() -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(8)
    return torch.randint(0, 256, (6, 3, 8, 8), generator=rng, dtype=torch.uint8), torch.tensor([0, 0, 1, 1, 2, 2])


def evaluate(learnt, test: ImageSet, protocol: Protocol = PROTOCOL, **options) -> Evaluation:
    return evaluate_set(*learnt, COUNTS, Evaluator(test, SPEC, protocol, "cpu", quiet=True, **options))


def test_a_student_is_what_the_shared_loop_makes_of_its_seed(learnt, data: ImageSet):
    evaluation = evaluate(learnt, data)
    for number, run in enumerate(evaluation.students):
        seed = derive_seed(11, "student", number)
        network = build(SPEC, derive_seed(seed, "weights"))
        train(network, Examples(*learnt, data.mean, data.std), RECIPE, 6, derive_seed(seed, "training"))
        predicted = network.eval()(normalise(data.images, data.mean, data.std)).argmax(1)
        expected = [[int(((data.labels == i) & (predicted == j)).sum()) for j in range(3)] for i in range(3)]
        assert [list(row) for row in run.confusion] == expected
        assert run.curve[-1] == (6, pytest.approx(float((predicted == data.labels).double().mean())))
    assert len({run.confusion for run in evaluation.students}) > 1


def test_tests_during_training_change_nothing(learnt, data: ImageSet):
    norm = replace(SPEC, norm="batch")
    once, often = (
        evaluate_set(*learnt, COUNTS, Evaluator(data, norm, replace(PROTOCOL, test_points=points), "cpu", quiet=True))
        for points in (1, 6)
    )
    assert [run.confusion for run in once.students] == [run.confusion for run in often.students]
    assert [step for step, _ in often.students[0].curve] == [1, 2, 3, 4, 5, 6]


def test_untrained_students_can_be_tested(learnt, data: ImageSet):
    run = evaluate(learnt, data, replace(PROTOCOL, steps=0, students=1)).students[0]
    assert [step for step, _ in run.curve] == [0]
    assert sum(map(sum, run.confusion)) == 18


class KilledError(Exception):
    pass


def test_finished_students_are_kept_and_not_trained_again(learnt, data: ImageSet, tmp_path: Path, monkeypatch):
    whole = evaluate(learnt, data)
    trained: list[int] = []
    original = students._teach_and_test

    def watched(exam, evaluator, numbers, title):
        if numbers == [2] and trained == [0, 1]:
            trained.append(-1)
            raise KilledError
        trained.extend(numbers)
        return original(exam, evaluator, numbers, title)

    monkeypatch.setattr(students, "_teach_and_test", watched)
    with pytest.raises(KilledError):
        evaluate(learnt, data, cache=tmp_path)
    assert evaluate(learnt, data, cache=tmp_path) == whole
    assert trained == [0, 1, -1, 2]
    files = sorted(path.name for path in (tmp_path / "evaluations" / whole.key).glob("*.json"))
    assert files == ["student-0.json", "student-1.json", "student-2.json"]
    fewer = evaluate(learnt, data, replace(PROTOCOL, students=2), cache=tmp_path)
    assert fewer.students == whole.students[:2] and trained == [0, 1, -1, 2]


def test_students_trained_together_are_those_trained_in_turn(learnt, data: ImageSet, tmp_path: Path, monkeypatch):
    """In float64, where both round too little to change a decision."""
    images = (learnt[0].double() / 255, learnt[1])
    monkeypatch.setattr(students, "build", lambda spec, seed: build(spec, seed).double())
    protocol = replace(PROTOCOL, students=5)
    in_turn = evaluate(images, data, protocol, cache=tmp_path)
    together = evaluate(images, data, protocol, cache=tmp_path, parallel=Parallel.together)
    assert together.students == in_turn.students and together.key != in_turn.key


def test_what_is_missing_is_trained_together(learnt, data: ImageSet, tmp_path: Path, monkeypatch):
    options = {"cache": tmp_path, "parallel": Parallel.together}
    groups: list[list[int]] = []
    original = students._teach_and_test

    def watched(exam, evaluator, numbers, title):
        groups.append(numbers)
        return original(exam, evaluator, numbers, title)

    monkeypatch.setattr(students, "_teach_and_test", watched)
    five = replace(PROTOCOL, students=5)
    key = evaluate(learnt, data, **options).key
    whole = evaluate(learnt, data, five, **options)
    assert groups == [[0, 1, 2], [3, 4]] and whole.key == key
    for number in (0, 2, 3):
        (tmp_path / "evaluations" / key / f"student-{number}.json").unlink()
    again = evaluate(learnt, data, five, **options)
    assert groups[2:] == [[0, 2, 3]] and [run.number for run in again.students] == [0, 1, 2, 3, 4]
    assert again.students[1] == whole.students[1] and again.students[4] == whole.students[4]


def test_a_damaged_result_is_made_again(learnt, data: ImageSet, tmp_path: Path):
    whole = evaluate(learnt, data, cache=tmp_path)
    path = tmp_path / "evaluations" / whole.key / "student-1.json"
    kept = path.read_bytes()
    path.write_bytes(kept[:50])
    assert evaluate(learnt, data, cache=tmp_path) == whole
    assert path.read_bytes() == kept


def test_the_key_knows_everything_but_the_number_of_students(learnt, data: ImageSet):
    images, labels = learnt
    short = replace(PROTOCOL, steps=1, students=1)
    keys = [
        evaluate(case, test, protocol).key
        for case, test, protocol in [
            (learnt, data, short),
            ((images.flip(0), labels), data, short),
            ((images, labels.flip(0)), data, short),
            (learnt, replace(data, images=data.images.flip(0)), short),
            (learnt, replace(data, mean=(0.4, 0.4, 0.4)), short),
            (learnt, data, replace(short, seed=12)),
            (learnt, data, replace(short, steps=2)),
            (learnt, data, replace(short, recipe=replace(RECIPE, batch=5))),
        ]
    ]
    assert len(set(keys)) == len(keys)
    assert evaluate(learnt, data, replace(short, students=2)).key == keys[0]


def test_soft_labels_reach_the_students(learnt, data: ImageSet):
    images, labels = learnt
    hard = torch.nn.functional.one_hot(labels, 3).float()
    assert evaluate((images, hard), data).students == evaluate(learnt, data).students
    wrong = evaluate((images, hard.roll(1, 1)), data)
    assert wrong.students != evaluate(learnt, data).students


def test_students_learn(data: ImageSet):
    """Classes of one colour each, a set of one image per class: everything can be told apart."""
    colours = torch.tensor([[250, 0, 0], [0, 250, 0], [0, 0, 250]], dtype=torch.uint8).view(3, 3, 1, 1)
    images = colours.expand(3, 3, 8, 8).contiguous()
    test = replace(data, images=images.repeat_interleave(torch.tensor(data.counts), 0))
    protocol = replace(PROTOCOL, steps=60, students=2, recipe=replace(RECIPE, augment="crop_flip", cutmix=0.0))
    evaluator = Evaluator(test, replace(SPEC, norm="none"), protocol, "cpu", quiet=True)
    evaluation = evaluate_set(images, torch.arange(3), COUNTS, evaluator)
    assert evaluation.accuracy.mean == 1.0
    assert evaluation.confusion == ((18, 0, 0), (0, 12, 0), (0, 0, 6))  # summed over two students


def test_what_an_evaluation_reports():
    first = StudentRun(0, ((8, 2), (1, 3)), ((5, 0.9), (10, 11 / 14)))
    second = StudentRun(1, ((6, 4), (0, 4)), ((5, 0.1), (10, 10 / 14)))
    evaluation = Evaluation("key", (first, second), ClassGroups((0,), (), (1,)))
    metrics = evaluation.metrics()
    assert set(metrics) == {"accuracy", "head", "tail", "worst_class", "best_on_test"}  # there is no medium class
    assert metrics["accuracy"].mean == pytest.approx(10.5 / 14)
    assert metrics["accuracy"].std == pytest.approx(0.5 * 2**0.5 / 14)
    assert metrics["head"].mean == pytest.approx(0.7) and metrics["tail"].mean == pytest.approx(0.875)
    assert metrics["worst_class"].mean == pytest.approx((0.75 + 0.6) / 2)
    assert metrics["best_on_test"].mean == pytest.approx((0.9 + 10 / 14) / 2)
    assert evaluation.confusion == ((14, 6), (1, 7))
    assert [summary.mean for summary in evaluation.per_class if summary] == pytest.approx([0.7, 0.875])
    assert StudentRun.from_dict(evaluation.as_dict()["students"][1]) == second


def test_confusion_matrix_counts_rows_by_truth():
    matrix = confusion_matrix(torch.tensor([0, 0, 1, 2, 2]), torch.tensor([0, 2, 1, 0, 0]), 3)
    assert matrix.tolist() == [[1, 0, 1], [0, 1, 0], [2, 0, 0]]
