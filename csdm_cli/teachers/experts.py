"""Experts, whose way through weight space trajectory matching follows: teachers of a kind of their own.

Trained by plain SGD at a constant rate, without momentum, as the student is that has to follow them: teachers who
learn faster go where it cannot. Their points are counted in optimiser steps and not in epochs, for an epoch of a long
tail is short: 44 steps of 256 images at β = 200 where a balanced CIFAR-10 has 196.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import torch

from csdm_cli.display.console import note
from csdm_cli.display.sizes import sized
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.names import TeacherLoss
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.safe_text import counted
from csdm_cli.teachers.plan import TeacherPlan
from csdm_cli.teachers.pool import TeacherPool, train_pool
from csdm_cli.teachers.teaching import is_classifier
from csdm_cli.training.recipe import Duration, Recipe


def expert_plan(count: int, points: int, every: int, recipe: Recipe, seed: int) -> TeacherPlan:
    """``count`` experts whose weights are kept at 0, ``every``, 2·``every`` … ``points``·``every`` optimiser steps."""
    duration = Duration(steps=points * every, every=every)
    return TeacherPlan(count, duration, TeacherLoss.cross_entropy, recipe, trajectory=True, seed=seed, noun="expert")


def train_experts(
    data: ImageSet, spec: NetworkSpec, plan: TeacherPlan, cache: Path, device: torch.device, **options: Any
) -> TeacherPool:
    """The experts of ``plan``, from ``cache`` or trained, once their size is told; ``options`` are train_pool's.

    Raises:
        UsageError: if the network is frozen, or lets the images of a batch influence each other.
        CsdmError: if the disk has no room for them, a class has no image, or training diverges.
    """
    if spec.frozen is not None:
        raise UsageError(
            f"experts are followed while they are trained, and {spec.name} is frozen: leave --weights and --objective"
            " out"
        )
    if build(spec, seed=0).couples_samples:
        raise UsageError(
            f"experts need a network whose images do not influence each other, and {spec.name} has batch"
            " normalisation: choose --norm instance, group or layer, or another network"
        )
    if min(data.counts) < 1:
        raise CsdmError(f"class {data.counts.index(min(data.counts))} has no training image for experts to learn")
    tell = partial(_tell_size, spec, plan, cache, options.get("quiet", False))
    return train_pool(data, spec, plan, cache, device, before=tell, **options)


def expert_bytes(spec: NetworkSpec, plan: TeacherPlan) -> int:
    """The size of an expert's file: its weights at start and end, and at every point what training changes of them."""
    sizes: dict[str, int] = {name: value.nbytes for name, value in build(spec, seed=0).state_dict().items()}
    moving = sum(size for name, size in sizes.items() if plan.start is None or is_classifier(name))
    points = (plan.duration.steps or 0) // (plan.duration.every or 1)
    return 2 * sum(sizes.values()) + points * moving


def _tell_size(spec: NetworkSpec, plan: TeacherPlan, cache: Path, quiet: bool, missing: int) -> None:
    each = expert_bytes(spec, plan)
    points = (plan.duration.steps or 0) // (plan.duration.every or 1)
    snapshots = f"{points + 2} snapshots of {sized(each // (points + 2))}"
    note(f"{counted(missing, 'expert')} x {snapshots}: {sized(missing * each)}", quiet=quiet)
    free = shutil.disk_usage(cache).free
    if free < (missing + 1) * each:  # what is kept of the one in training comes on top
        raise CsdmError(
            f"{cache} has room for {sized(free)}, and {missing} experts take {sized((missing + 1) * each)} while they"
            " are made: ask for fewer --experts or --expert-snapshots, or name another disk in CSDM_CACHE"
        )
