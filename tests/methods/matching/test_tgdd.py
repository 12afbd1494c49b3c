"""tgdd against its formula, at its limits, and in what it draws."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from csdm_cli.errors import UsageError
from csdm_cli.methods.contract import Context
from csdm_cli.methods.matching.tgdd import Tgdd, TgddParameters
from csdm_cli.names import TeacherSchedule
from csdm_cli.runs.method_options import make_method
from csdm_cli.settings.sections import Distill
from csdm_cli.teachers.views import View
from tests.methods.tiny_world import EPOCHS, assembled, check_layouts, gradient, make_data, make_pool
from tests.reference import tgdd as oracle


@pytest.mark.parametrize("constraint", [1.0, 0.3, 0.0])
def test_loss_and_gradient_are_the_formulas_in_any_chunking(tmp_path, constraint):
    option = {"constraint": constraint} | ({"interval": 4} if constraint else {})
    parts = assembled(tmp_path, "tgdd", option=option, draws=3)
    points = set()
    for step in range(6):
        view = parts.real.at(step).view
        source = parts.method.logits_stage(view) or (view.teacher, "final")
        points.add((view.stage, source[1]))
        stored = parts.leaves.images.detach().clone().requires_grad_(True)
        networks = [parts.networks.at(*place) for place in ((view.teacher, view.stage), source)]
        expected = oracle.loss(*networks, stored, make_data(), parts.formation, view.theta, constraint)
        expected.backward()
        check_layouts(parts, step, float(expected.detach()), stored.grad, atol=1e-9)
    assert len(points) > 3


def test_one_stage_and_no_constraint_is_dm(tmp_path):
    settings = {"teacher_schedule": TeacherSchedule.final}
    alone = assembled(tmp_path, "tgdd", option={"constraint": 0}, **settings)
    base = assembled(tmp_path, "dm", **settings)
    for step in range(3):
        assert gradient(alone, step)[0] == gradient(base, step)[0]
        assert torch.equal(gradient(alone, step)[1], gradient(base, step)[1])


def test_the_stages_are_all_epochs_and_each_reads_the_logits_of_one_shortly_after(tmp_path):
    parts = assembled(tmp_path, "tgdd", option={"interval": 3}, draws=11, iterations=22)
    seen = {}
    for step in range(22):
        view = parts.real.at(step).view
        teacher, point = parts.method.logits_stage(view)
        epoch, later = (EPOCHS if p == "final" else p[1] for p in (view.stage, point))
        assert teacher == view.teacher
        assert later in oracle.allowed_snapshots(epoch, 3, EPOCHS)
        seen.setdefault(epoch, set()).add(later)
    assert set(seen) == set(range(EPOCHS + 1))
    assert any(min(later) > epoch for epoch, later in seen.items())


def test_the_logits_stage_follows_from_view_and_seed_alone():
    view = View(3, 0, ("epoch", 2), None, 0)

    def stage(seed: int, of: View = view):
        method = Tgdd(TgddParameters(interval=8))
        method.prepare(Context((1,), torch.device("cpu"), torch.float64, seed=seed, pool=make_pool()))
        return method.logits_stage(of)

    assert stage(0) == stage(0)
    assert len({stage(seed) for seed in range(20)}) > 3
    assert len({stage(0, replace(view, index=index)) for index in range(20)}) > 3


def test_every_option_changes_the_loss(tmp_path):
    base = [gradient(assembled(tmp_path, "tgdd"), step)[0] for step in range(4)]
    for option in ({"constraint": 0.5}, {"interval": 1}):
        changed = assembled(tmp_path, "tgdd", option=option)
        assert [gradient(changed, step)[0] for step in range(4)] != pytest.approx(base, rel=1e-6)


def test_without_a_constraint_its_interval_is_idle_and_no_logits_are_read():
    method = Tgdd(TgddParameters(constraint=0))
    assert method.idle_options() == {"interval"} and not Tgdd(TgddParameters()).idle_options()
    assert method.logits_stage(View(0, 0, "final", None, 0)) is None
    with pytest.raises(UsageError, match="interval=0"):
        make_method(Distill(method="tgdd", option={"interval": 0}))
