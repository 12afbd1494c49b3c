"""Optimising helps: on real digits every method's set trains better students than the images it started from.

Methods that follow experts do so in ``trajectory/test_beats_their_start.py``.
"""

from __future__ import annotations

import pytest
import torch

from csdm_cli.data.build import build_longtail
from csdm_cli.data.holdout import read_test
from csdm_cli.distillation.checkpoint import Checkpoint
from csdm_cli.distillation.loop import optimise
from csdm_cli.evaluation.students import Evaluator, evaluate_set
from csdm_cli.images.initial import to_uint8
from csdm_cli.methods import load, method_names
from csdm_cli.methods.contract import OptimisedMethod
from csdm_cli.methods.learning import LearningMethod
from csdm_cli.methods.trajectory.base import TrajectoryMethod
from csdm_cli.names import AugmentMode, TeacherLoss
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.runs.assemble import assemble
from csdm_cli.runs.assemble_learning import assemble_learning
from csdm_cli.runs.choose import decided
from csdm_cli.runs.student_protocol import protocol_of
from csdm_cli.settings import sections
from csdm_cli.settings.presets import COMMON
from csdm_cli.teachers.plan import TeacherPlan
from csdm_cli.teachers.pool import train_pool
from csdm_cli.training.recipe import Duration, Recipe
from tests.methods.paired import check_better

AUGMENT = "crop_scale_rotate"
CLASSES = {name: load(name) for name in method_names()}
OPTIMISED = [
    name for name, cls in CLASSES.items() if issubclass(cls, OptimisedMethod) and not issubclass(cls, TrajectoryMethod)
]
# Networks that learn from real images for a third of the time that they do by default.
BRIEF = {name: {"inner": 10} for name in ("idc", "dream")}
PROTOCOL = protocol_of(sections.Evaluate(students=5, steps=150, test_points=1, augment=AUGMENT))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The long-tailed digits, two teachers, and a place for banks."""
    folder = tmp_path_factory.mktemp("digits")
    wanted = sections.MakeLt(dataset="digits", size=16, imbalance=10, n_max=100)
    longtail = build_longtail(wanted, folder / "data", folder)
    data = longtail.train()
    recipe = Recipe("sgd", 0.01, 0.9, 5e-4, 32, AUGMENT, AugmentMode.single, 0.0, "steps")
    plan = TeacherPlan(2, Duration(epochs=15), TeacherLoss.balanced_softmax, recipe, True, 0)
    spec = NetworkSpec("convnet", 16, 3, "instance", "avg", data.channels, data.size, data.classes)
    return data, read_test(longtail), train_pool(data, spec, plan, folder, "cpu", quiet=True), folder


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMISED)
def test_the_set_is_better_than_its_start(world, name, tmp_path):
    data, test, pool, folder = world
    common = COMMON.get(name, {}).get("distill", {})
    plain = {
        "option": BRIEF.get(name, {}),
        "method": name,
        "ipc": 1,
        "factor": 1,
        "initial": "real",
        "iterations": 75 if issubclass(load(name), LearningMethod) else 150,
        "draws": 4,
    }
    settings = sections.Distill.model_validate(plain | {"augment": AUGMENT, "real_batch": 64} | common)
    settled, method = decided(settings)
    if isinstance(method, LearningMethod):
        parts = assemble_learning(settled, method, data, pool.spec, pool)
    else:
        parts = assemble(settled, method, data, pool, folder, quiet=True)
    start = to_uint8(parts.leaves.images.detach())
    found = optimise(parts.leaves, parts.method, parts.iterate, Checkpoint(tmp_path, "run", 1e9), quiet=True)
    evaluator = Evaluator(test, pool.spec, PROTOCOL, torch.device("cpu"), cache=folder, quiet=True)  # starts are alike
    labels = torch.arange(data.classes)
    before, after = (evaluate_set(images, labels, data.counts, evaluator) for images in (start, to_uint8(found.images)))
    check_better(after, before)
