"""Views: what one optimisation step looks through.

A view is a teacher's weights, an augmentation per class and a set of frequencies. Methods that are
bankable walk through a finite pool of views again and again; the others get a new one every step.
Both are functions of (seed, step) alone, so a resumed run sees what the uninterrupted one would have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch

from csdm_cli.images.augment import Theta, draw, draw_stratified
from csdm_cli.names import AugmentMode, TeacherSchedule
from csdm_cli.seeds import derive_seed, generator
from csdm_cli.teachers.pool import Stage


@dataclass(frozen=True)
class View:
    """One way of looking at images.

    Attributes:
        index: position in the pool, or the step for a view that is used once.
        teacher: which teacher of the pool.
        stage: which of its weights.
        theta: augmentation, one row per class, shared by the class's real and synthetic images.
        frequency_seed: seed of the frequencies ω.
    """

    index: int
    teacher: int
    stage: Stage
    theta: Theta
    frequency_seed: int


@dataclass(frozen=True)
class ViewPlan:
    """The parts that views are made of."""

    teachers: int
    classes: int
    augment: tuple[str, ...]
    augment_mode: AugmentMode
    schedule: TeacherSchedule
    epochs: int
    seed: int
    resample: bool = True

    def frequency_seed(self, view: int) -> int:
        """The seed of the view's own frequencies, or of those that all views share."""
        return derive_seed(self.seed, "frequencies", view if self.resample else "shared")


class Views(Protocol):
    """The view of every step."""

    def at(self, step: int) -> View:
        """The view of step ``step``."""
        ...


class PooledViews:
    """``draws`` views per teacher, visited in a new random order each round.

    Augmentations and the points of the teacher schedule are stratified over the whole pool.
    """

    def __init__(self, plan: ViewPlan, draws: int) -> None:
        self._seed = plan.seed
        count = plan.teachers * draws
        thetas = draw_stratified(generator(plan.seed, "augment"), count, plan.classes, plan.augment, plan.augment_mode)
        ranks = torch.randperm(count, generator=generator(plan.seed, "points"))
        self.views = [
            View(
                index=i,
                teacher=i % plan.teachers,
                stage=_stage(plan, (int(ranks[i]) + 0.5) / count),
                theta=theta,
                frequency_seed=plan.frequency_seed(i),
            )
            for i, theta in enumerate(thetas)
        ]
        self._order: Callable[[int], list[int]] = lru_cache(maxsize=2)(self._draw_order)

    def at(self, step: int) -> View:
        """The pool's next view in this round's order."""
        turn, position = divmod(step, len(self.views))
        return self.views[self._order(turn)[position]]

    def _draw_order(self, turn: int) -> list[int]:
        order: list[int] = torch.randperm(len(self.views), generator=generator(self._seed, "order", turn)).tolist()
        return order


class FreshViews:
    """A new view every step."""

    def __init__(self, plan: ViewPlan) -> None:
        self._plan = plan

    def at(self, step: int) -> View:
        """A view drawn for this step alone."""
        plan = self._plan
        rng = generator(plan.seed, "view", step)
        teacher = int(torch.randint(plan.teachers, (), generator=rng))
        position = float(torch.rand((), generator=rng))
        return View(
            index=step,
            teacher=teacher,
            stage=_stage(plan, position),
            theta=draw(rng, plan.classes, plan.augment, plan.augment_mode),
            frequency_seed=plan.frequency_seed(step),
        )


def _stage(plan: ViewPlan, position: float) -> Stage:
    """The stage of the schedule at ``position`` in [0, 1)."""
    if plan.schedule is TeacherSchedule.interpolate:
        return ("interpolate", position)
    if plan.schedule is TeacherSchedule.trajectory:
        epoch = int(position * (plan.epochs + 1))  # 0: before training
        return "final" if epoch == plan.epochs else ("epoch", epoch)
    return "final"
