"""Following experts helps: on real digits the set trains better students than the images and labels it started from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from csdm_cli.data.build import build_longtail
from csdm_cli.data.holdout import read_test
from csdm_cli.distillation.checkpoint import Checkpoint
from csdm_cli.distillation.loop import optimise
from csdm_cli.evaluation.students import Evaluator, evaluate_set
from csdm_cli.images.initial import to_uint8
from csdm_cli.methods.learning import LABEL_LOGITS
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.runs.assemble_learning import assemble_learning
from csdm_cli.runs.choose import decided
from csdm_cli.runs.evaluating import protocol_of
from csdm_cli.runs.experts import classifier_plan, representation_plan
from csdm_cli.settings import sections
from csdm_cli.teachers.experts import train_experts

AUGMENT = "crop_scale_rotate"
PROTOCOL = protocol_of(sections.Evaluate(students=3, steps=150, test_points=1, augment=AUGMENT))
SETTINGS = {"ipc": 1, "factor": 1, "initial": "real", "iterations": 60, "lr": 0.03, "augment": AUGMENT}
OPTION = {"student_steps": 10, "latest": 5, "step_size": 0.05}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The long-tailed digits and four experts, of points that are 15 steps apart, with classifiers trained on."""
    folder = tmp_path_factory.mktemp("digits")
    wanted = sections.MakeLt(dataset="digits", size=16, imbalance=10, n_max=100)
    longtail = build_longtail(wanted, folder / "data", folder)
    data = longtail.train()
    spec = NetworkSpec("convnet", 16, 3, "instance", "avg", data.channels, data.size, data.classes)
    own = {"experts": 4, "expert_snapshots": 8, "snapshot_every": 15, "expert_batch": 64, "expert_lr": 0.05}
    plan = representation_plan(sections.Pretrain.model_validate(own | {"augment": AUGMENT}))
    experts = train_experts(data, spec, plan, folder, CPU, quiet=True)
    classifiers = train_experts(data, spec, classifier_plan(3, experts), folder, CPU, quiet=True)
    return data, read_test(longtail), replace(experts, classifiers=classifiers)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mtt", "datm", "lad"])
def test_the_set_is_better_than_its_start(world, name, tmp_path):
    """Labels that are learned are part of the set, and those that they started as of its start."""
    data, test, pool = world
    settings, method = decided(sections.Distill.model_validate(SETTINGS | {"method": name, "option": OPTION}))
    parts = assemble_learning(settings, method, data, pool.spec, pool)
    start = to_uint8(parts.leaves.images.detach()), labels_of(parts.leaves.learned, data.classes)
    found = optimise(parts.leaves, method, parts.iterate, Checkpoint(tmp_path, "run", 1e9), quiet=True)
    end = to_uint8(parts.leaves.images.detach()), labels_of(parts.leaves.learned, data.classes)
    evaluator = Evaluator(test, pool.spec, PROTOCOL, CPU, quiet=True)
    before, after = (evaluate_set(*both, data.counts, evaluator).accuracy for both in (start, end))
    assert after.mean > before.mean, (before, after)
    losses = torch.stack(list(found.history.values())).sum(0)
    assert losses[-20:].mean() < losses[:20].mean()


def labels_of(learned: Mapping[str, Tensor], classes: int) -> Tensor:
    """The labels of one image per class: the learned ones, or the classes."""
    return learned[LABEL_LOGITS].detach().softmax(1) if LABEL_LOGITS in learned else torch.arange(classes)
