"""``csdm pretrain``: the pool of teachers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import RenderableType

from csdm_cli import config, places
from csdm_cli.commands.make_lt import given_or_newest
from csdm_cli.commands.runtime import Runtime
from csdm_cli.commands.tracked import tell_of_data, tell_of_teachers
from csdm_cli.console import emit, note
from csdm_cli.data.holdout import sealed
from csdm_cli.data.imageset import ImageSet
from csdm_cli.data.store import LongTail
from csdm_cli.display.safe_text import markup
from csdm_cli.display.tables import figures_table
from csdm_cli.engine.numerics import PLAIN, Numerics
from csdm_cli.engine.recipe import Duration, Recipe
from csdm_cli.engine.teachers import POOL_FILES, TeacherPlan, TeacherPool, train_pool
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.names import TeacherSchedule
from csdm_cli.networks import NetworkSpec
from csdm_cli.scores import group_of_classes
from csdm_cli.storage import outputs
from csdm_cli.tracking import Tracker, open_tracker

# Options that shape some networks only (see ``networks/spec.py``); torchvision's have none of them.
SHAPED_BY = {"convnet": {"width", "depth", "pooling", "norm"}, "vgg11": {"norm"}, "resnet18": {"norm"}}
SHAPES = ("width", "depth", "pooling", "norm")


def run(
    settings: config.Pretrain,
    runtime: Runtime,
    *,
    data: Path | None,
    out: Path | None,
    given: frozenset[str] = frozenset(),
) -> None:
    """Train what is missing of the pool, and print what the teachers know of the training set.

    Raises:
        UsageError: if an option ``given`` on the command line has no effect on the network.
    """
    for name in SHAPES:
        if name in given and name not in SHAPED_BY.get(settings.network, set()):
            raise UsageError(f"--{name} has no effect on {settings.network}")
    device = runtime.apply()
    numerics = runtime.student_numerics(device)
    if out:
        outputs.claim_folder(out, POOL_FILES)
    longtail = given_or_newest(data, quiet=runtime.quiet)
    note(f"long-tailed set: {longtail.folder}", quiet=runtime.quiet)
    described = {"pretrain": settings.model_dump(mode="json")}
    name = f"pretrain {settings.network} x{settings.teachers} seed{settings.seed}"
    with (
        sealed("training teachers"),
        open_tracker(runtime.tracking, "pretrain", params=described, name=name, quiet=runtime.quiet) as tracker,
    ):
        manifest = longtail.manifest
        tell_of_data(tracker, manifest, "train", "training")
        pool = train_teachers(settings, longtail.train(), device, runtime, tracker, numerics)
        rows = _accuracies(pool, manifest.counts)
        tracker.metrics({f"train_accuracy/{part}": round(100 * value, 4) for part, value in rows.items()})
        tell_of_teachers(tracker, pool.description, made=True)
    if out:
        pool.export(out)
    emit({"teachers": pool.description, "train_accuracy": rows}, lambda: _table(pool, rows), as_json=runtime.json)
    note("\n".join(_outcome(settings, pool, data, out)), quiet=runtime.quiet)


def train_teachers(
    settings: config.Pretrain,
    data: ImageSet,
    device: torch.device,
    runtime: Runtime,
    tracker: Tracker | None = None,
    numerics: Numerics = PLAIN,
) -> TeacherPool:
    """The pool that ``settings`` describe, from the cache as far as it is there.

    ``numerics`` are the teachers' in training: those of ``runtime`` may be other networks'.
    """

    def log(teacher: int, epoch: int, loss: float) -> None:
        if tracker is not None:
            tracker.metric(f"loss/teacher-{teacher}", loss, epoch)

    spec = network_spec(settings, data.channels, data.size, data.classes)
    plan = teacher_plan(settings)
    return train_pool(
        *(data, spec, plan, places.cache_dir(), device),
        quiet=runtime.quiet,
        parallel=runtime.parallel,
        on_epoch=log,
        numerics=numerics,
    )


def teacher_plan(settings: config.Pretrain) -> TeacherPlan:
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


def duration_of(settings: config.Pretrain) -> Duration:
    """How long teachers are trained."""
    if settings.epochs is not None:
        return Duration(epochs=settings.epochs)
    return Duration(steps=settings.steps or config.TEACHER_STEPS)


def find_teachers(
    folder: Path | None,
    params: config.Params,
    longtail: LongTail,
    train: ImageSet,
    device: torch.device,
    runtime: Runtime,
) -> TeacherPool:
    """The teachers in ``folder``, or those that the ``pretrain`` section describes, trained if missing.

    Where the ``distill`` section looks through the teachers' epochs, they keep them without being told.

    Raises:
        CsdmError: if the teachers in ``folder`` are damaged, do not fit the long-tailed set, or kept no epochs.
    """
    by_epoch = params.distill.teacher_schedule is TeacherSchedule.trajectory
    if folder is None:
        wanted = params.pretrain.model_copy(update={"trajectory": params.pretrain.trajectory or by_epoch})
        return train_teachers(wanted, train, device, runtime)
    pool = TeacherPool.open(folder)
    check_pool(pool, longtail)
    if by_epoch and not pool.trajectory:
        raise CsdmError(
            f"--teacher-schedule trajectory: the teachers in {folder} kept no weights of their epochs;"
            " make them with csdm pretrain --trajectory, or leave --teachers out"
        )
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


def network_spec(settings: config.Pretrain, channels: int, size: int, classes: int) -> NetworkSpec:
    """The architecture that ``settings`` ask for, for such images."""
    return NetworkSpec(
        settings.network, settings.width, settings.depth, settings.norm, settings.pooling, channels, size, classes
    )


def _accuracies(pool: TeacherPool, counts: tuple[int, ...]) -> dict[str, float]:
    """Mean training accuracy over the teachers, of all classes and of the groups."""
    per_class = [sum(column) / len(pool) for column in zip(*pool.train_accuracy, strict=True)]
    groups = group_of_classes(counts)
    parts = {"all classes": tuple(range(len(counts))), **asdict(groups)}
    return {name: sum(per_class[c] for c in part) / len(part) for name, part in parts.items() if part}


def _table(pool: TeacherPool, rows: dict[str, float]) -> list[RenderableType]:
    table = figures_table("", list(rows))
    table.add_row("right, %", *(f"{100 * value:.1f}" for value in rows.values()))
    return [f"[bold]{len(pool)} x {markup(pool.spec.name)} on their own training images[/]", table]


def _outcome(settings: config.Pretrain, pool: TeacherPool, data: Path | None, out: Path | None) -> list[str]:
    """Where the teachers are, and how distill is to find them."""
    command = "csdm distill" + (f" {data}" if data else "") + " --ipc 10"
    if out:
        return [f"wrote {out}", f"next: {command} --teachers {out}"]
    lines = [f"teachers: {pool.paths[0].parent}", f"next: {command}"]
    if settings != config.Pretrain():
        lines[1] += " with the same pretrain settings in --params, or with --teachers DIR after pretrain --out DIR"
    return lines
