"""A pool of teachers found or trained, from settings to a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from csdm_cli.data.store import LongTail
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.names import TeacherSchedule
from csdm_cli.networks import NetworkSpec
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.networks.own import is_own, source_of
from csdm_cli.runs.backbones import Shape, frozen_of, is_frozen, probe_plan, refuse_idle_of_backbones, weights_source
from csdm_cli.runs.runtime import Runtime
from csdm_cli.settings import sections
from csdm_cli.settings.fields import marks_of
from csdm_cli.storage import places
from csdm_cli.teachers.backbones import frozen_pool
from csdm_cli.teachers.plan import TeacherPlan
from csdm_cli.teachers.pool import TeacherPool, train_pool
from csdm_cli.tracking.tracker import Tracker
from csdm_cli.training.recipe import Duration, Recipe


def refuse_idle_shape(settings: sections.Pretrain, given: frozenset[str]) -> None:
    """Raises: UsageError if an option ``given`` by the user has no effect on the network (see ``networks/spec.py``)."""
    for name, field in sections.Pretrain.model_fields.items():
        shaped = marks_of(field).get("shapes")
        if name in given and isinstance(shaped, list) and settings.network not in shaped:
            raise UsageError(f"--{name} has no effect on {settings.network}")
    refuse_idle_of_backbones(settings, given)


def train_teachers(
    settings: sections.Pretrain,
    data: ImageSet,
    device: torch.device,
    runtime: Runtime,
    tracker: Tracker | None = None,
    numerics: Numerics = PLAIN,
) -> TeacherPool:
    """The pool that ``settings`` describe, from the cache as far as it is there.

    ``numerics`` are the teachers' in training: those of ``runtime`` may be other networks'.
    """
    spec, log = network_spec(settings, data), loss_log(tracker, "teacher")

    def log_stage(stage: int, loss: float) -> None:
        if tracker is not None:
            tracker.metric(f"loss/{settings.objective}", loss, stage)

    if spec.frozen:
        plan, source = probe_plan(settings), weights_source(settings)
        return frozen_pool(
            *(data, spec, plan, places.cache_dir(), device, source),
            quiet=runtime.quiet,
            on_epoch=log,
            on_stage=log_stage,
        )
    plan = teacher_plan(settings)
    return train_pool(
        *(data, spec, plan, places.cache_dir(), device),
        quiet=runtime.quiet,
        parallel=runtime.parallel,
        on_epoch=log,
        numerics=numerics,
    )


def loss_log(tracker: Tracker | None, what: str) -> Callable[[int, int, float], None]:
    """A function of a network's number, its epoch and its loss that tells ``tracker`` of it; ``what`` is a noun."""

    def log(number: int, epoch: int, loss: float) -> None:
        if tracker is not None:
            tracker.metric(f"loss/{what}-{number}", loss, epoch)

    return log


def teacher_plan(settings: sections.Pretrain) -> TeacherPlan:
    """How many teachers ``settings`` ask for, and how they are trained."""
    recipe = Recipe(
        optimizer="sgd",
        lr=settings.lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        batch=settings.batch,
        augment=settings.augment,
        augment_mode=settings.augment_mode,
        cutmix=settings.cutmix,
        schedule="steps",
    )
    return TeacherPlan(
        settings.teachers, duration_of(settings), settings.loss, recipe, settings.trajectory, settings.seed
    )


def duration_of(settings: sections.Pretrain) -> Duration:
    """How long teachers are trained."""
    if settings.epochs is not None:
        return Duration(epochs=settings.epochs)
    return Duration(steps=settings.steps or sections.TEACHER_STEPS)


def find_teachers(
    given: TeacherPool | Path | None,
    params: sections.Params,
    longtail: LongTail,
    train: ImageSet,
    device: torch.device,
    runtime: Runtime,
) -> TeacherPool:
    """The teachers ``given``, or in that folder, or those that the ``pretrain`` section describes, trained if missing.

    Where the ``distill`` section looks through the teachers' epochs, they keep them without being told.

    Raises:
        CsdmError: if the teachers are damaged, do not fit the long-tailed set, or kept no epochs.
    """
    by_epoch = params.distill.teacher_schedule is TeacherSchedule.trajectory
    if given is None:
        wanted = params.pretrain.model_copy(update={"trajectory": params.pretrain.trajectory or by_epoch})
        pool = train_teachers(wanted, train, device, runtime)
    else:
        pool = given_pool(given, params.pretrain.network, longtail)
    if pool.every is not None:
        raise CsdmError(
            f"{pool.paths[0].parent} holds experts, and {params.distill.method} looks through teachers: make them with"
            " csdm pretrain, or leave --teachers out"
        )
    if pool.spec.frozen and params.distill.teacher_schedule not in (None, TeacherSchedule.final):
        raise UsageError(
            f"--teacher-schedule {params.distill.teacher_schedule}: {pool.spec.name} is never trained, and has its"
            " final weights only: use --teacher-schedule final"
        )
    if by_epoch and not pool.trajectory:
        raise CsdmError(
            f"--teacher-schedule trajectory: the teachers in {pool.paths[0].parent} kept no weights of their epochs;"
            " make them with csdm pretrain --trajectory, or leave --teachers out"
        )
    return pool


def given_pool(given: TeacherPool | Path, network: str, longtail: LongTail) -> TeacherPool:
    """The pool ``given``, or in that folder, which must fit the long-tailed set.

    Args:
        given: a pool, or the folder of one.
        network: the network that the user names: a module of their own may be the pool's.
        longtail: the set that it was to be trained on.

    Raises:
        CsdmError: if the pool is damaged, or was made for other images or classes.
    """
    if is_own(network):
        source_of(network)
    pool = given if isinstance(given, TeacherPool) else TeacherPool.open(given)
    check_pool(pool, longtail)
    return pool


def check_pool(pool: TeacherPool, longtail: LongTail) -> None:
    """Raises: CsdmError if the teachers were made for other images or classes."""
    shape, spec = longtail.manifest, pool.spec
    if (spec.channels, spec.size, spec.classes) != (shape.channels, shape.size, shape.classes):
        raise CsdmError(
            f"the teachers take {spec.channels}x{spec.size}x{spec.size} images of {spec.classes} classes, but"
            f" {longtail.folder} has {shape.channels}x{shape.size}x{shape.size} of {shape.classes}; run csdm pretrain"
        )
    if pool.data != shape.fingerprints["train"]:
        raise CsdmError(f"the teachers were trained on another set than {longtail.folder}; run csdm pretrain on it")
    if pool.normalisation != (tuple(shape.mean), tuple(shape.std)):
        raise CsdmError(
            f"the teachers saw these images normalised by other means and deviations than {longtail.folder} tells;"
            " run csdm pretrain on it"
        )


def network_spec(settings: sections.Pretrain, images: Shape) -> NetworkSpec:
    """The architecture that ``settings`` ask for, for such images."""
    shape = (settings.width, settings.depth, settings.norm, settings.pooling)
    source = source_of(settings.network) if is_own(settings.network) else None
    frozen = frozen_of(settings, images) if is_frozen(settings) else None
    return NetworkSpec(settings.network, *shape, images.channels, images.size, images.classes, source, frozen)
