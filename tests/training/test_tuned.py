"""Students that are not trained plainly: what that changes, what it must not, and how often it compiles."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch._dynamo.utils import counters

from csdm_cli.errors import CsdmError
from csdm_cli.evaluation import students
from csdm_cli.evaluation.protocol import Protocol
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.evaluation.students import Evaluator, TrainAndTest, evaluate_set
from csdm_cli.images.image_set import ImageSet
from csdm_cli.names import Parallel, Precision
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.networks import numerics as numerics_module
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.training.batches import Examples
from csdm_cli.training.inference import predict
from csdm_cli.training.loop import train
from csdm_cli.training.recipe import Recipe
from csdm_cli.training.tuned import in_test, in_training, program

SPEC = NetworkSpec("convnet", width=4, depth=2, channels=3, size=8, classes=3)
RECIPE = Recipe("adamw", 1e-2, 0.9, 0.01, 4, "color_crop_flip", "compose", 0.5, "cosine")
PROTOCOL = Protocol(RECIPE, steps=6, students=3, seed=11, test_points=3)
COUNTS = (100, 10, 1)
COMPILED, LAST = Numerics(compiled=True), Numerics(channels_last=True)
BF16 = Numerics(Precision.bf16)
OTHERS = [COMPILED, LAST, BF16, Numerics(Precision.bf16, True, True)]


@pytest.fixture
def learnt() -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(8)
    return torch.randint(0, 256, (6, 3, 8, 8), generator=rng, dtype=torch.uint8), torch.tensor([0, 0, 1, 1, 2, 2])


@pytest.fixture
def traced(monkeypatch) -> Iterator[None]:
    """Compilation up to the programs, without the C++ compiler: recompiling is decided before it."""
    monkeypatch.setattr(numerics_module, "BACKEND", "aot_eager")
    torch._dynamo.reset()
    counters.clear()
    program.cache_clear()
    yield
    program.cache_clear()


def evaluate(learnt, test: ImageSet, numerics: Numerics, spec: NetworkSpec = SPEC, **options) -> Evaluation:
    evaluator = Evaluator(test, spec, PROTOCOL, "cpu", quiet=True, numerics=numerics, **options)
    return evaluate_set(*learnt, COUNTS, evaluator)


def taught(learnt, data: ImageSet, numerics: Numerics, spec: NetworkSpec = SPEC) -> dict[str, torch.Tensor]:
    """The weights of a student after a step on all six images; its gradients decide them."""
    network = build(spec, seed=0)
    recipe = replace(RECIPE, optimizer="sgd", batch=6, lr=0.1)
    train(in_training(network, spec, numerics), Examples(*learnt, data.mean, data.std), recipe, 1, seed=0)
    return dict(network.state_dict())


@pytest.mark.parametrize("own", OTHERS, ids=str)
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_a_step_is_that_of_a_plain_student_up_to_rounding(traced, learnt, data: ImageSet, own, norm):
    spec = replace(SPEC, norm=norm)
    start, plain = build(spec, seed=0).state_dict(), taught(learnt, data, PLAIN, spec)
    found = taught(learnt, data, own, spec)
    assert {name: value.dtype for name, value in found.items()} == {name: value.dtype for name, value in plain.items()}

    def apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
        return sum(float((value - other[name]).double().square().sum()) for name, value in one.items()) ** 0.5

    assert apart(found, plain) < (0.1 if own.precision is Precision.bf16 else 1e-5) * apart(plain, start)


@pytest.mark.parametrize("own", OTHERS, ids=str)
def test_in_float64_students_decide_as_plain_ones_do(traced, learnt, data: ImageSet, monkeypatch, own):
    """There all numerics round too little to change a decision."""
    images = (learnt[0].double() / 255, learnt[1])
    monkeypatch.setattr(students, "build", lambda spec, seed: build(spec, seed).double())
    plain, found = (evaluate(images, data, numerics) for numerics in (PLAIN, own))
    assert found.students == plain.students and len({run.confusion for run in plain.students}) > 1


def test_all_students_of_all_sets_use_the_same_two_programs(traced, learnt, data: ImageSet):
    """One of a step and one of a test; another set and another seed need no other."""
    evaluate(learnt, data, COMPILED)
    assert counters["stats"]["unique_graphs"] == 2
    with torch._dynamo.config.patch(error_on_recompile=True):
        evaluate((learnt[0].flip(0), learnt[1]), data, COMPILED)
    assert counters["stats"]["unique_graphs"] == 2


def test_equal_students_have_equal_bits(traced, learnt, data: ImageSet):
    assert evaluate(learnt, data, COMPILED).students == evaluate(learnt, data, COMPILED).students


@pytest.mark.parametrize("count", [1, 9, 300])
def test_tests_are_in_float32_however_students_were_trained(traced, count):
    """A batch that is not full is filled up, and what was filled in is left out again."""
    network = build(replace(SPEC, norm="batch"), seed=0)
    images = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    plain = predict(network, images, (0.5,) * 3, (0.2,) * 3)
    for numerics in OTHERS:
        found = predict(in_test(network, SPEC, numerics), images, (0.5,) * 3, (0.2,) * 3)
        assert found.shape == (count, 3) and torch.allclose(found, plain, atol=1e-5)
    assert network.training


def test_plain_students_are_no_layer_in_between():
    network = build(SPEC, seed=0)
    assert in_training(network, SPEC, PLAIN) is network and in_test(network, SPEC, PLAIN) is network


def test_the_key_names_what_is_not_plain(learnt, data: ImageSet):
    task = TrainAndTest(Examples(*learnt, data.mean, data.std), data, SPEC)
    keys = [task.key(PROTOCOL, numerics=numerics) for numerics in (PLAIN, *OTHERS)]
    assert len(set(keys)) == len(keys) and keys[0] == task.key(PROTOCOL)


def test_they_are_trained_one_after_another(learnt, data: ImageSet, tmp_path):
    """Side by side they would be plain."""
    in_turn = evaluate(learnt, data, LAST)
    assert evaluate(learnt, data, LAST, parallel=Parallel.together) == in_turn


def test_what_cannot_be_compiled_is_one_clear_line(traced, learnt, data: ImageSet, monkeypatch):
    def missing(graph, inputs):
        raise RuntimeError("no compiler found\nhere are many words")

    monkeypatch.setattr(numerics_module, "BACKEND", missing)
    with pytest.raises(CsdmError, match=r"--compile: .*; use --no-compile$") as error:
        evaluate(learnt, data, COMPILED)
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.parametrize("own", [COMPILED, OTHERS[-1]], ids=str)
def test_a_compiled_step_is_right(learnt, data: ImageSet, own):
    program.cache_clear()
    plain, found = taught(learnt, data, PLAIN), taught(learnt, data, own)
    for name, value in found.items():
        assert torch.allclose(value, plain[name], atol=1e-5 if own is COMPILED else 0.05), name
    network = build(SPEC, seed=0)
    logits = [predict(net, data.images, data.mean, data.std) for net in (network, in_test(network, SPEC, own))]
    assert torch.allclose(*logits, atol=1e-5)
