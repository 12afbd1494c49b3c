"""Experts found or trained, from settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from csdm_cli.data.store import LongTail
from csdm_cli.display.console import note
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.names import ExpertOptimizer
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.runs.backbones import SELF_SUPERVISED
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.teachers import given_pool, loss_log, network_spec, train_teachers
from csdm_cli.settings import sections
from csdm_cli.storage import places
from csdm_cli.teachers.experts import expert_plan, train_experts
from csdm_cli.teachers.plan import TeacherPlan
from csdm_cli.teachers.pool import TeacherPool
from csdm_cli.tracking.tracker import Tracker
from csdm_cli.training.recipe import Recipe

if TYPE_CHECKING:
    from csdm_cli.methods.learning import LearningMethod

# The settings of pretrain that teachers alone read, and those that experts alone do.
OF_TEACHERS = (
    *("teachers", "steps", "epochs", "loss", "lr", "momentum", "weight_decay", "batch", "cutmix", "trajectory"),
    *("weights", "input_size", "centres"),
    *SELF_SUPERVISED,
)
OF_EXPERTS = tuple(
    name for name, field in sections.Pretrain.model_fields.items() if field.json_schema_extra == sections.EXPERTS
)


def refuse_idle(settings: sections.Pretrain, given: frozenset[str]) -> None:
    """Raises: UsageError if an option ``given`` by the user has no effect on what is trained, teachers or experts."""
    for name in sorted(given):
        option = "--" + name.replace("_", "-")
        if settings.experts is None and name in OF_EXPERTS:
            raise UsageError(f"{option} has no effect on teachers: add --experts with their number")
        if settings.experts is not None and name in OF_TEACHERS:
            raise UsageError(f"{option} has no effect on experts, whose options are in csdm pretrain --help")
        if name in ("rho", "ascent") and settings.expert_optimizer is not ExpertOptimizer.gsam:
            raise UsageError(f"{option} has no effect on sgd: add --expert-optimizer gsam")


def make_pool(
    settings: sections.Pretrain,
    data: ImageSet,
    device: torch.device,
    runtime: Runtime,
    tracker: Tracker | None = None,
    numerics: Numerics = PLAIN,
) -> TeacherPool:
    """The experts that ``settings`` ask for, or the teachers if they ask for none; ``numerics`` are the teachers'."""
    if settings.experts is not None:
        return make_experts(settings, data, device, runtime, tracker)
    return train_teachers(settings, data, device, runtime, tracker, numerics)


def make_experts(
    settings: sections.Pretrain,
    data: ImageSet,
    device: torch.device,
    runtime: Runtime,
    tracker: Tracker | None = None,
    *,
    given: TeacherPool | None = None,
) -> TeacherPool:
    """The experts that ``settings`` describe, from the cache as far as they are there.

    Args:
        settings: with ``classifier_snapshots``, classifier experts come with them.
        data: the long-tailed training set.
        device: where to train.
        runtime: how to run.
        tracker: is told of losses.
        given: experts in place of those of ``settings``; classifier experts that come with them are taken if they are
            what ``settings`` ask for.

    Raises:
        UsageError: if the network is not one for experts.
        CsdmError: if they cannot be made.
    """
    cache = places.cache_dir()
    cache.mkdir(parents=True, exist_ok=True)

    def trained(plan: TeacherPlan, what: str) -> TeacherPool:
        return train_experts(
            *(data, spec, plan, cache, device),
            quiet=runtime.quiet,
            parallel=runtime.parallel,
            on_epoch=loss_log(tracker, what),
        )

    spec = given.spec if given else network_spec(settings, data)
    pool = given or trained(representation_plan(settings), "expert")
    if settings.classifier_snapshots is None:
        return replace(pool, classifiers=None)
    plan = classifier_plan(settings.classifier_snapshots, pool)
    if pool.classifiers is not None and _are_of(pool.classifiers, plan):
        return pool
    return replace(pool, classifiers=trained(plan, "classifier"))


def _are_of(classifiers: TeacherPool, plan: TeacherPlan) -> bool:
    """Whether these classifier experts, known to start from those of ``plan``, were trained as it says."""
    told = classifiers.headers[0]
    same = {name: told.get(name) for name in plan.duration.as_dict()} == plan.duration.as_dict()
    return same and told["recipe"] == plan.recipe.as_dict() and told["seed"] == plan.seed


def representation_plan(settings: sections.Pretrain) -> TeacherPlan:
    """How many experts ``settings`` ask for, and how they are trained."""
    gsam = settings.expert_optimizer is ExpertOptimizer.gsam
    recipe = Recipe(
        optimizer="gsam" if gsam else "sgd",
        lr=settings.expert_lr,
        momentum=0.0,
        weight_decay=settings.expert_weight_decay,
        batch=settings.expert_batch,
        augment=settings.augment,
        augment_mode=settings.augment_mode,
        cutmix=0.0,
        schedule="constant",
        rho=settings.rho if gsam else 0.0,
        ascent=settings.ascent if gsam else 0.0,
    )
    count = settings.experts or sections.EXPERTS_MADE
    return expert_plan(count, settings.expert_snapshots, settings.snapshot_every, recipe, settings.seed)


def classifier_plan(points: int, start: TeacherPool) -> TeacherPlan:
    """Classifiers trained on from where the experts ``start`` ended: as these were, but each class as often, and
    without weight decay."""
    told = start.headers[0]
    recipe = replace(Recipe(**told["recipe"]), weight_decay=0.0, sampling="class-aware")
    plan = expert_plan(len(start), points, int(told["every"]), recipe, int(told["seed"]))
    return replace(plan, start=start, noun="classifier")


def expert_settings(description: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of pretrain that made experts, from their description."""
    spec, recipe, every = description["spec"], description["recipe"], int(description["every"])
    found = {"network": spec["name"]} | {name: spec[name] for name in ("width", "depth", "norm", "pooling")}
    found |= {"experts": description["teachers"], "seed": description["seed"]}
    found |= {"expert_snapshots": int(description["steps"]) // every, "snapshot_every": every}
    found |= {f"expert_{name}": recipe[name] for name in ("optimizer", "lr", "weight_decay", "batch")}
    found |= {name: recipe[name] for name in ("rho", "ascent") if name in recipe}
    found |= {name: recipe[name] for name in ("augment", "augment_mode")}
    further = description.get("classifiers")
    return found | ({"classifier_snapshots": int(further["steps"]) // every} if further else {})


def find_experts(
    given: TeacherPool | Path | None,
    params: sections.Params,
    method: LearningMethod,
    longtail: LongTail,
    train: ImageSet,
    device: torch.device,
    runtime: Runtime,
) -> TeacherPool:
    """The experts ``given``, or in that folder, or those that ``pretrain`` describes, trained if missing.

    Args:
        given: a pool, or the folder of one.
        params: all settings.
        method: has its wishes where ``pretrain`` leaves something open.
        longtail: where ``train`` is from.
        train: the long-tailed training set.
        device: where to train.
        runtime: how to run.

    Raises:
        UsageError: if experts of as many points are too few for the method.
        CsdmError: if the experts are damaged, are teachers, or do not fit the long-tailed set.
    """
    own, follows = params.pretrain, method.experts
    assert follows is not None

    def wanted(points: int) -> sections.Pretrain:
        points = own.classifier_snapshots or points
        optimizer = own.expert_optimizer or follows.optimizer
        choices = {"expert_optimizer": optimizer, "classifier_snapshots": points if follows.classifiers else None}
        return own.model_copy(update=choices)

    if given is None:
        settings = wanted(sections.CLASSIFIER_SNAPSHOTS)
        method.require_points(settings.expert_snapshots, settings.classifier_snapshots or 0)
        return make_experts(settings, train, device, runtime)
    pool = given_pool(given, own.network, longtail)
    if pool.every is None:
        raise CsdmError(
            f"{pool.paths[0].parent} holds teachers, and {params.distill.method} follows experts: make them with csdm"
            " pretrain --experts, or leave --teachers out"
        )
    trained, meant = str(pool.headers[0]["recipe"]["optimizer"]), own.expert_optimizer or follows.optimizer
    if trained != meant:
        told = f"these experts were trained with {trained}, and {params.distill.method} is made for those of {meant}"
        note(f"warning: {told} (csdm pretrain --expert-optimizer {meant})", quiet=runtime.quiet)
    settings = wanted(pool.classifiers.epochs if pool.classifiers else sections.CLASSIFIER_SNAPSHOTS)
    method.require_points(pool.epochs, settings.classifier_snapshots or 0)
    return make_experts(settings, train, device, runtime, given=pool)
