"""Properties of every method there is: options that count, losses that differ and fall, exact resumption."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from dataclasses import MISSING, fields, replace
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
import torch
from torch import Tensor

from csdm_cli.distillation.checkpoint import Checkpoint
from csdm_cli.distillation.loop import optimise
from csdm_cli.errors import UsageError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods import load, method_names
from csdm_cli.methods.contract import (
    Building,
    BuildingMethod,
    MatchingMethod,
    OptimisedMethod,
    parameter_names,
)
from csdm_cli.methods.learning import LearningMethod
from csdm_cli.names import AugmentMode, ExpertOptimizer, TeacherLoss
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.runs.assemble import assemble
from csdm_cli.runs.assemble_learning import assemble_learning
from csdm_cli.runs.choose import decided
from csdm_cli.runs.method_options import make_method
from csdm_cli.settings import sections
from csdm_cli.teachers.experts import expert_plan, train_experts
from csdm_cli.teachers.plan import TeacherPlan
from csdm_cli.teachers.pool import TeacherPool, train_pool
from csdm_cli.training.recipe import Duration, Recipe

OPTIMISED = [name for name in method_names() if issubclass(load(name), OptimisedMethod)]
MATCHING = [name for name in OPTIMISED if issubclass(load(name), MatchingMethod)]
BUILDING = [name for name in method_names() if issubclass(load(name), BuildingMethod)]
TINY = {"ipc": 2, "iterations": 4, "draws": 2, "frequencies": 16, "lr": 0.02, "real_batch": 4}
# Networks that learn for a shorter time than by default, which changes nothing that is tested here.
BRIEF: dict[str, dict[str, Any]] = {name: {"inner": 3} for name in ("dc", "dsa", "idc", "dream")}
# Loops of cafe that end by what is measured in a run this small.
CHANGING = {"window": 2, "most_steps": 3, "most_epochs": 5, "network_lr": 0.5}
# What an option needs beside it to count, and a value where the generic one is not allowed.
BESIDE: dict[tuple[str, str], dict[str, Any]] = {
    ("cafe", "moved"): CHANGING,
    ("cafe", "network_batch"): {"most_steps": 3, "most_epochs": 5},
    ("cafe", "settled"): CHANGING,
    ("dsdm", "history"): {"history_start": 0},
    ("dsdm", "history_start"): {"history_start": 0, "history": 20.0},
    ("dsdm", "momentum"): {"history_start": 0, "history": 20.0},
    ("idm", "grow_every"): {"pool": 4},
    ("idm", "meter"): {"pool": 4},
    ("idm", "pool_steps"): {"pool": 4},
    ("idm", "pool_trained"): {"pool": 4},
    ("ncfm", "sampler_lr"): {"sampler": "learned"},
    ("ncfm", "sampler_width"): {"sampler": "learned"},
    ("sfm", "moment_weight"): {"spread": "second-moment"},
}
BESIDE |= {
    (name, option): {"latest_at_first": 2, "grown_after": 50}
    for name in ("datm", "lad")
    for option in ("latest_at_first", "grown_after")
}
# Of methods whose steps are long: those of a student.
SHORT: dict[str, dict[str, Any]] = {name: {"student_steps": 3, "step_size": 0.1} for name in ("mtt", "ftd", "datm")}
SHORT["lad"] = SHORT["datm"] | {"classifier_steps": 3}
VALUES: dict[tuple[str, str], Any] = {
    ("dsdm", "history_start"): 3,
    ("ridge", "kept"): 2,
    ("dsdm", "momentum"): 0.5,
    ("dc", "outer"): 2,
    ("dsa", "outer"): 2,
    ("cafe", "most_epochs"): 3,
    ("cafe", "most_steps"): 1,
    ("cafe", "moved"): 1e6,
    ("cafe", "network_batch"): 1,
    ("cafe", "settled"): 2.0,
    ("dc", "network_batch"): 1,
    ("idc", "network_batch"): 1,
    ("dream", "network_batch"): 1,
    ("dream", "recluster"): 1,
    ("idc", "outer"): 2,
    ("dream", "outer"): 2,
    ("dsa", "network_batch"): 1,
    ("idm", "grow_every"): 1,
    ("tgdd", "interval"): 1,
    ("rded", "mipc"): 1,
}
FOLLOWING = {"student_batch": 5, "step_size_momentum": 0.9, "latest_at_first": 4, "grown_after": 1}
FOLLOWING |= {"label_momentum": 0.5, "threshold": 1e-6}
VALUES |= {(name, option): value for name in SHORT for option, value in FOLLOWING.items()}
# Near the short ones that others are compared with, not near the defaults.
VALUES |= {(name, "inner"): 2 for name in BRIEF} | {(name, "student_steps"): 4 for name in SHORT}
VALUES["lad", "classifier_steps"] = 4
# Options that change no image of a run this small, and where their effect is seen instead.
ELSEWHERE: dict[tuple[str, str], str] = {
    ("cafe", "query"): "so few images are all of them: see test_cafe.py",
    ("wmdd", "batch_norm"): "these teachers have no batch norm: see test_wmdd.py",
    ("forgetting", "epochs"): "the set is learnt without forgetting: see test_forgetting.py",
    ("forgetting", "loss"): "the set is learnt without forgetting: see test_forgetting.py",
    ("forgetting", "never_learned"): "the set is learnt without forgetting: see test_forgetting.py",
}


@pytest.fixture(scope="module")
def data() -> ImageSet:
    """Three classes of noise about class means of their own, so that there is something to learn."""
    rng = torch.Generator().manual_seed(0)
    counts = (12, 9, 6)
    means = torch.rand(3, 3, 1, 1, generator=rng)
    parts = [means[c] + 0.2 * torch.rand(n, 3, 8, 8, generator=rng) for c, n in enumerate(counts)]
    images = (torch.cat(parts).clamp(0, 1) * 255).to(torch.uint8)
    return ImageSet(images, counts, ("a", "b", "c"), (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))


@pytest.fixture(scope="module")
def pool(data: ImageSet, tmp_path_factory) -> TeacherPool:
    recipe = Recipe("sgd", 0.05, 0.9, 5e-4, 8, "crop", AugmentMode.single, 0.0, "steps")
    plan = TeacherPlan(2, Duration(epochs=4), TeacherLoss.balanced_softmax, recipe, True, 0)
    spec = NetworkSpec("convnet", 4, 2, "instance", "avg", 3, 8, data.classes)
    return train_pool(data, spec, plan, tmp_path_factory.mktemp("teachers"), "cpu", quiet=True)


@pytest.fixture(scope="module")
def experts(data: ImageSet, tmp_path_factory) -> dict[ExpertOptimizer, TeacherPool]:
    """Two of each kind, with classifiers trained on."""
    found, folder = {}, tmp_path_factory.mktemp("experts")
    spec = NetworkSpec("convnet", 4, 2, "instance", "avg", 3, 8, data.classes)
    plain = Recipe("sgd", 0.05, 0.0, 0.0, 8, "crop", AugmentMode.single, 0.0, "constant")
    for optimizer in ExpertOptimizer:
        recipe = replace(plain, optimizer=str(optimizer), rho=0.1 if optimizer is ExpertOptimizer.gsam else 0.0)
        plan = expert_plan(2, 10, 2, recipe, 0)
        own = train_experts(data, spec, plan, folder, torch.device("cpu"), quiet=True)
        further = replace(plan, start=own, noun="classifier", recipe=replace(recipe, sampling="class-aware"))
        classifiers = train_experts(data, spec, further, folder, torch.device("cpu"), quiet=True)
        found[optimizer] = replace(own, classifiers=classifiers)
    return found


@pytest.fixture(scope="module")
def pool_for(pool, experts):
    """The teachers or experts of a method."""

    def find(name: str) -> TeacherPool:
        follows = getattr(load(name), "experts", None)
        return pool if follows is None else experts[follows.optimizer]

    return find


@pytest.fixture
def run(data, pool_for, tmp_path):
    """Images and losses of a short run of a method with these settings."""

    def run(name: str, **settings: Any) -> tuple[Tensor, dict[str, Tensor]]:
        return finish(tiny(name, **settings), data, pool_for(name), tmp_path, resume=False)

    return run


@pytest.fixture(scope="module")
def lived(data, pool_for, tmp_path_factory):
    """Images, losses and the images after every step of a short run, which all tests share: each is run once."""
    folder = tmp_path_factory.mktemp("shared")

    @cache
    def made(name: str, **option: Any) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
        way: list[Tensor] = []

        def keep(step: int, images: Tensor) -> None:
            way.append(images.clone())

        return *finish(tiny(name, option=option), data, pool_for(name), folder, resume=False, watch=keep), way

    return made


@pytest.fixture(scope="module")
def usual(lived):
    """Images and losses of a short run of a method with these options."""
    return lambda name, **option: lived(name, **option)[:2]


class DifferError(Exception):
    """Two runs have other images after the same step."""


def tiny(name: str, **settings: Any) -> sections.Distill:
    """A few short steps of a method."""
    option = BRIEF.get(name, {}) | SHORT.get(name, {}) | settings.pop("option", {})
    return sections.Distill(method=name, **TINY | settings, option=option)


Watch = Callable[[int, Tensor], None]


def finish(
    settings: sections.Distill,
    data: ImageSet,
    pool: TeacherPool,
    folder: Path,
    stop: int | None = None,
    resume: bool = True,
    watch: Watch = lambda step, images: None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Images and losses; ``watch`` is shown the images after every step."""
    settled, method = decided(settings)
    if isinstance(method, BuildingMethod):
        start = Building(data, settings.ipc, settings.factor, settings.seed, pool)
        return method.build(start).images, {}
    if isinstance(method, LearningMethod):
        parts = assemble_learning(settled, method, data, pool.spec, pool)
    else:
        parts = assemble(settled, method, data, pool, folder, quiet=True)

    def iterate(step: int) -> dict[str, Tensor]:
        if step == stop:
            raise InterruptedError
        losses = parts.iterate(step)
        watch(step, parts.leaves.images.detach())
        return losses

    checkpoint = Checkpoint(folder, "run", 0 if stop else 1e9)
    result = optimise(parts.leaves, method, iterate, checkpoint, resume=resume, quiet=True)
    return result.images, result.history


def total(history: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(history.values())).sum(0)


def flipped(value: Any, kind: Any) -> Any:
    """Another value of the same kind."""
    origin = get_origin(kind)
    if origin is Annotated:
        return flipped(value, get_args(kind)[0])
    if origin in (Union, type(int | None)):
        return flipped(value, next(part for part in get_args(kind) if part is not type(None)))
    if origin is Literal or (isinstance(kind, type) and issubclass(kind, Enum)):
        choices = list(get_args(kind)) if origin is Literal else list(kind)
        return next(choice for choice in choices if choice != value)
    if kind is bool:
        return not value
    if kind is int:
        return (value or 0) + 1
    return value * 3 if value else 0.7


def parameter_defaults(cls: type) -> dict[str, Any]:
    """The defaults of a method's own parameters; those that csdm distill has as settings have none here."""
    return {p.name: p.default for p in fields(cls.Parameters) if p.default is not MISSING}


def own_options() -> list[tuple[str, str]]:
    return [(name, option) for name in method_names() for option in parameter_defaults(load(name))]


@pytest.mark.parametrize(("name", "option"), own_options(), ids=str)
def test_every_option_of_every_method_changes_the_images(lived, data, pool_for, tmp_path, name, option):
    """From some step on; or, where nothing is optimised, those that are built."""
    if (name, option) in ELSEWHERE:
        pytest.skip(ELSEWHERE[name, option])
    cls = load(name)
    default = parameter_defaults(cls)[option]
    beside = BESIDE.get((name, option), {})
    value = VALUES.get((name, option), flipped(default, get_type_hints(cls.Parameters, include_extras=True)[option]))
    settings = tiny(name, option=beside | {option: value})
    base, _, way = lived(name, **beside)
    if name in BUILDING:
        changed, _ = finish(settings, data, pool_for(name), tmp_path)
        assert not torch.equal(base, changed), f"{option}={value} changed nothing"
        return

    def compare(step: int, images: Tensor) -> None:
        if not torch.equal(images, way[step]):
            raise DifferError

    with pytest.raises(DifferError):
        finish(settings, data, pool_for(name), tmp_path, resume=False, watch=compare)
        pytest.fail(f"{option}={value} changed nothing")


def test_no_two_methods_give_the_same_images(usual):
    images = {name: usual(name)[0] for name in method_names()}
    for (one, left), (other, right) in itertools.combinations(images.items(), 2):
        assert left.shape != right.shape or not torch.equal(left, right), (one, other)


# A network that does not move meanwhile, and all real images, so that the losses of steps can be compared.
STILL = {
    name: {"real_batch": 100, "lr": 0.001, "iterations": 20, "option": {"outer": 40, "inner": 1, "network_lr": 1e-6}}
    for name in ("dc", "dsa", "idc", "dream")
}
STILL["cafe"] = {"real_batch": 100, "lr": 0.001, "option": {"most_steps": 40, "most_epochs": 1, "network_lr": 1e-6}}
STILL |= {name: {"iterations": 20, "option": {"latest": 1, "step_size_lr": 0.0}} for name in SHORT}


@pytest.mark.parametrize("name", OPTIMISED)
def test_the_loss_falls(run, name):
    plainly = {"iterations": 40, "draws": 1, "augment": "none", "schedule": "constant", "calibration": 0}
    _, history = run(name, **plainly | STILL.get(name, {}))
    losses = total(history)
    assert losses.isfinite().all()
    assert losses[-4:].mean() < losses[:4].mean()


@pytest.mark.parametrize("name", OPTIMISED)
def test_a_run_that_is_cut_short_resumes_to_the_same_bytes(usual, data, pool_for, tmp_path, name):
    whole, history = usual(name)
    with pytest.raises(InterruptedError):
        finish(tiny(name), data, pool_for(name), tmp_path, stop=2)
    again, resumed = finish(tiny(name), data, pool_for(name), tmp_path)
    assert torch.equal(again, whole)
    assert all(torch.equal(resumed[term], history[term]) for term in history)


@pytest.mark.parametrize("name", method_names())
def test_the_same_seed_gives_the_same_bytes_and_another_one_others(usual, run, name):
    first, _ = usual(name)
    again, _ = run(name)
    other, _ = run(name, seed=4)
    assert torch.equal(first, again)
    assert not torch.equal(first, other) or name in SEEDLESS


# Methods that draw nothing but how repeats in classes shorter than asked are shifted.
SEEDLESS = {"graph-cut", "herding"}


@pytest.mark.parametrize("name", method_names())
def test_every_method_says_what_it_is_and_explains_its_options(name):
    cls = load(name)
    assert cls.summary and cls.source and cls.cost and cls.__doc__
    for parameter in fields(cls.Parameters):
        shared = parameter.name in sections.Distill.model_fields
        assert shared or parameter.metadata.get("help"), parameter.name
    for section, values in cls.paper(10).items():
        assert set(values) <= set(sections.Params.model_fields[section].annotation.model_fields), section
        assert not any(isinstance(value, float) and math.isnan(value) for value in values.values())
    if name in MATCHING:  # a paper's run is no shorter or longer than the others' by oversight
        assert cls.paper(1)["distill"]["iterations"] >= cls.paper(50)["distill"]["iterations"] >= 2000


@pytest.mark.parametrize("name", OPTIMISED)
def test_what_to_lower_when_a_run_diverges_are_settings_of_the_method(name):
    own = load(name)
    assert own.to_lower.startswith("--lr")
    assert set(re.findall(r"--option (\w+)", own.to_lower)) <= parameter_names(own)


def test_a_number_that_is_none_is_a_usage_error():
    """Infinity would pass a lower bound, and break what writes settings as JSON."""
    for name, option in own_options():
        for value in ("inf", math.inf, "-inf", "nan"):
            case = f"{name} --option {option}={value}"
            with pytest.raises(UsageError) as refused:
                make_method(sections.Distill(method=name, option={option: value}))
                pytest.fail(f"{case} was taken")
            assert f"--option {option}=" in str(refused.value), case
