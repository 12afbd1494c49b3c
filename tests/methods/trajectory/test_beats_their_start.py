"""Following experts helps: on real digits the set trains better students than the images and labels it started from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from csdm_cli.data.build import build_longtail
from csdm_cli.data.holdout import read_test
from csdm_cli.distillation.checkpoint import Checkpoint
from csdm_cli.distillation.loop import optimise
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.evaluation.scores import difference_half_width, summarise
from csdm_cli.evaluation.students import Evaluator, evaluate_set
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.initial import initial_images, to_uint8
from csdm_cli.methods import load, method_names
from csdm_cli.methods.learning import LABEL_LOGITS
from csdm_cli.methods.trajectory.base import TrajectoryMethod
from csdm_cli.names import ExpertOptimizer, Initial
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.runs.assemble_learning import LearningAssembly, assemble_learning
from csdm_cli.runs.choose import decided
from csdm_cli.runs.experts import classifier_plan, representation_plan
from csdm_cli.runs.student_protocol import protocol_of
from csdm_cli.settings import sections
from csdm_cli.teachers.experts import train_experts
from csdm_cli.teachers.pool import TeacherPool
from tests.methods.paired import check_better

FOLLOWING = [name for name in method_names() if issubclass(load(name), TrajectoryMethod)]
AUGMENT = "crop_scale_rotate"
PROTOCOL = protocol_of(sections.Evaluate(students=5, steps=150, test_points=1, augment=AUGMENT))
SETTINGS = {"ipc": 1, "factor": 1, "initial": "real", "iterations": 60, "lr": 0.03, "augment": AUGMENT}
OPTION = {"student_steps": 10, "latest": 5, "step_size": 0.05}
# Experts of a long tail know its small classes late: labels that are learned along their first points forget these.
OWN_OPTION = {"datm": {"earliest": 3, "latest": 8}}
EXPERTS = {"experts": 4, "expert_snapshots": 8, "snapshot_every": 15, "expert_batch": 64, "expert_lr": 0.05}
CPU = torch.device("cpu")


@dataclass(frozen=True)
class World:
    """The long-tailed digits, and experts of each kind, of points that are 15 steps apart."""

    data: ImageSet
    evaluator: Evaluator
    experts: Mapping[ExpertOptimizer, TeacherPool]

    def ready(self, name: str, pool: TeacherPool | None = None, **settings: Any) -> LearningAssembly:
        """A run of a method, of the experts it asks for unless there is a ``pool``, at its first step."""
        pool = pool or self.experts[load(name).experts.optimizer]
        told = SETTINGS | {"method": name, "option": OPTION | OWN_OPTION.get(name, {})} | settings
        settled, method = decided(sections.Distill.model_validate(told))
        return assemble_learning(settled, method, self.data, pool.spec, pool)

    def students(self, parts: LearningAssembly) -> Evaluation:
        """Those of the images as they are now, and of the labels, if these are learned: else of the classes."""
        learned = parts.leaves.learned
        hard = torch.arange(self.data.classes)
        labels = learned[LABEL_LOGITS].detach().softmax(1) if LABEL_LOGITS in learned else hard
        return evaluate_set(to_uint8(parts.leaves.images.detach()), labels, self.data.counts, self.evaluator)

    def accuracy_of_random_images(self, seed: int) -> float:
        """One student's, by real images that the seed chose."""
        images = to_uint8(initial_images(self.data, 1, 1, Initial.real, seed))
        alone = replace(self.evaluator, protocol=replace(PROTOCOL, students=1, seed=seed))
        return evaluate_set(images, torch.arange(self.data.classes), self.data.counts, alone).scores[0].accuracy


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    folder = tmp_path_factory.mktemp("digits")
    wanted = sections.MakeLt(dataset="digits", size=16, imbalance=10, n_max=100)
    longtail = build_longtail(wanted, folder / "data", folder)
    data = longtail.train()
    spec = NetworkSpec("convnet", 16, 3, "instance", "avg", data.channels, data.size, data.classes)
    found = {}
    for optimizer in ExpertOptimizer:
        told = EXPERTS | {"expert_optimizer": optimizer, "augment": AUGMENT}
        plan = representation_plan(sections.Pretrain.model_validate(told))
        found[optimizer] = train_experts(data, spec, plan, folder, CPU, quiet=True)
    flat = found[ExpertOptimizer.gsam]
    classifiers = train_experts(data, spec, classifier_plan(3, flat), folder, CPU, quiet=True)
    found[ExpertOptimizer.gsam] = replace(flat, classifiers=classifiers)
    return World(data, Evaluator(read_test(longtail), spec, PROTOCOL, CPU, cache=folder, quiet=True), found)


@dataclass(frozen=True)
class Made:
    """Students of a set before and after its optimisation, and its loss at every step."""

    before: Evaluation
    after: Evaluation
    losses: Tensor


@pytest.fixture(scope="module")
def made(world, tmp_path_factory) -> Callable[[str], Made]:
    """The outcome of a method, which is optimised once."""

    @cache
    def find(name: str) -> Made:
        parts = world.ready(name)
        before = world.students(parts)
        losses = losses_of(parts, tmp_path_factory.mktemp(name))
        return Made(before, world.students(parts), losses)

    return find


def losses_of(parts: LearningAssembly, folder: Path) -> Tensor:
    """Those of all steps of a run, which is at its end then."""
    found = optimise(parts.leaves, parts.method, parts.iterate, Checkpoint(folder, "run", 1e9), quiet=True)
    return torch.stack(list(found.history.values())).sum(0)


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLLOWING)
def test_the_set_is_better_than_its_start(made, name):
    """Labels that are learned are part of the set, and those that they started as of its start."""
    found = made(name)
    check_better(found.after, found.before)
    assert found.losses[-20:].mean() < found.losses[:20].mean()


@pytest.mark.slow
def test_the_set_is_better_than_other_real_images(world, made):
    """Each student of those has its own draw of them: an interval of two independent means."""
    control = summarise(world.accuracy_of_random_images(seed) for seed in range(1, 11))
    found = made("mtt").after.accuracy
    assert found.mean - control.mean > difference_half_width(found, control), (found, control)


@pytest.mark.slow
def test_the_loss_of_one_part_of_one_experts_way_falls_below_that_of_standing_still(world, tmp_path):
    """From noise, which leads the student further away than it was."""
    pool = world.experts[ExpertOptimizer.sgd]
    one = TeacherPool(pool.paths[:1], pool.headers[:1])
    parts = world.ready("mtt", one, initial="noise", iterations=50, option=OPTION | {"latest": 1})
    losses = losses_of(parts, tmp_path)
    assert losses[0] > 1 > losses[-1]
