"""Views are functions of (seed, step), visit the whole pool, and spread over teachers and operations."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch

from csdm_cli.names import AugmentMode, TeacherSchedule
from csdm_cli.teachers.views import FreshViews, PooledViews, ViewPlan

PLAN = ViewPlan(3, 4, ("crop", "flip", "rotate"), AugmentMode.single, TeacherSchedule.interpolate, 10, seed=7)


def test_a_round_visits_every_view_once_in_an_order_of_its_own():
    views = PooledViews(PLAN, draws=4)
    rounds = [[views.at(step).index for step in range(turn * 12, turn * 12 + 12)] for turn in range(3)]
    assert all(sorted(each) == list(range(12)) for each in rounds)
    assert rounds[0] != rounds[1] != rounds[2]


def test_pool_is_balanced_over_teachers_and_stratified_over_weights():
    views = PooledViews(PLAN, draws=4).views
    assert Counter(view.teacher for view in views) == {0: 4, 1: 4, 2: 4}
    shares = sorted(view.stage[1] for view in views)
    assert shares == pytest.approx([(i + 0.5) / 12 for i in range(12)])
    for label in range(4):
        drawn = Counter(next(iter(view.theta.rows([label]).operations), "none") for view in views)
        # flip changes nothing half the time
        assert drawn["crop"] == 4 and drawn["rotate"] == 4


def test_steps_do_not_depend_on_what_was_asked_before():
    one, other = PooledViews(PLAN, 4), PooledViews(PLAN, 4)
    for step in range(30):
        one.at(step)
    assert one.at(29).index == other.at(29).index
    fresh, again = FreshViews(PLAN), FreshViews(PLAN)
    for step in range(5):
        fresh.at(step)
    assert fresh.at(3).stage == again.at(3).stage
    assert torch.equal(fresh.at(3).theta.values, again.at(3).theta.values)
    assert fresh.at(3).frequency_seed != fresh.at(4).frequency_seed


def test_views_share_their_frequencies_only_if_told_to():
    for views in (PooledViews(PLAN, 4), FreshViews(PLAN)):
        assert len({views.at(step).frequency_seed for step in range(12)}) == 12
    shared = replace(PLAN, resample=False)
    for views in (PooledViews(shared, 4), FreshViews(shared)):
        assert len({views.at(step).frequency_seed for step in range(12)}) == 1


def test_trajectory_points_are_all_epochs_from_the_untrained_network_on():
    plan = replace(PLAN, schedule=TeacherSchedule.trajectory)
    points = {view.stage for view in PooledViews(plan, 11).views}
    assert points == {("epoch", epoch) for epoch in range(10)} | {"final"}
    assert {FreshViews(plan).at(step).stage for step in range(200)} == points
