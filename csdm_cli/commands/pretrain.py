"""``csdm pretrain``: the pool of teachers, or of experts."""

from __future__ import annotations

from pathlib import Path

from rich.console import RenderableType

from csdm_cli.data.holdout import sealed
from csdm_cli.display.console import emit, note
from csdm_cli.display.tables import figures_table
from csdm_cli.errors import UsageError
from csdm_cli.evaluation.scores import means_by_group
from csdm_cli.methods import load, method_names
from csdm_cli.methods.learning import LearningMethod
from csdm_cli.names import StoredLabels
from csdm_cli.parallel.interruption import telling_what_is_kept
from csdm_cli.runs.backbones import is_frozen
from csdm_cli.runs.experts import make_pool, refuse_idle
from csdm_cli.runs.long_tail import given_or_newest
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.teachers import refuse_idle_shape
from csdm_cli.runs.tracked import tell_of_data, tell_of_teachers
from csdm_cli.safe_text import markup, typed
from csdm_cli.settings import sections
from csdm_cli.storage import outputs
from csdm_cli.teachers.pool import POOL_FILES, TeacherPool
from csdm_cli.tracking.tracker import open_tracker


def run(
    settings: sections.Pretrain,
    runtime: Runtime,
    *,
    folder: Path | None,
    out: Path | None,
    given: frozenset[str] = frozenset(),
) -> None:
    """Train what is missing of the pool, and print what its networks know of the training set.

    Args:
        settings: settings of teachers or experts.
        runtime: how to run.
        folder: the long-tailed set; the newest if None.
        out: a folder for the pool, beside the cache.
        given: the settings that the command line gave.

    Raises:
        UsageError: if an option ``given`` on the command line has no effect on the network.
    """
    refuse_idle_shape(settings, given)
    refuse_idle(settings, given)
    if settings.experts and runtime.given_numerics:
        raise UsageError(f"{runtime.given_numerics[0]} has no effect on experts, which compute plainly")
    if is_frozen(settings) and runtime.given_numerics:
        raise UsageError(f"{runtime.given_numerics[0]} has no effect on a frozen backbone, which computes plainly")
    device = runtime.apply()
    numerics = runtime.student_numerics(device)
    if out:
        outputs.claim_folder(out, POOL_FILES)
    longtail = given_or_newest(folder, quiet=runtime.quiet)
    note(f"long-tailed set: {longtail.folder}", quiet=runtime.quiet)
    described = {"pretrain": settings.model_dump(mode="json")}
    noun, count = ("experts", settings.experts) if settings.experts else ("teachers", settings.teachers)
    name = f"pretrain {settings.network} x{count} seed{settings.seed}"
    with (
        telling_what_is_kept(quiet=runtime.quiet),
        sealed(f"training {noun}"),
        open_tracker(runtime.tracking, "pretrain", params=described, name=name, quiet=runtime.quiet) as tracker,
    ):
        manifest = longtail.manifest
        tell_of_data(tracker, manifest, "train", "training")
        pool = make_pool(settings, longtail.train(), device, runtime, tracker, numerics)
        rows = means_by_group(_mean_accuracies(pool), manifest.counts)
        tracker.metrics({f"train_accuracy/{part}": round(100 * value, 4) for part, value in rows.items()})
        tell_of_teachers(tracker, pool.description, made=True)
    if out:
        pool.export(out)
    emit({noun: pool.description, "train_accuracy": rows}, lambda: _table(pool, rows), as_json=runtime.json)
    note("\n".join(_outcome(settings, pool, folder, out)), quiet=runtime.quiet)


def _mean_accuracies(pool: TeacherPool) -> list[float]:
    """Training accuracy of each class (C,), the mean over the teachers."""
    return [sum(column) / len(pool) for column in zip(*pool.train_accuracy, strict=True)]


def _table(pool: TeacherPool, rows: dict[str, float]) -> list[RenderableType]:
    table = figures_table("", list(rows))
    table.add_row("right, %", *(f"{100 * value:.1f}" for value in rows.values()))
    return [f"[bold]{len(pool)} x {markup(pool.spec.name)} on their own training images[/]", table]


def _outcome(settings: sections.Pretrain, pool: TeacherPool, data: Path | None, out: Path | None) -> list[str]:
    """Where the teachers are, and how distill is to find them."""
    first, *others = _followers(pool) if settings.experts else [""]
    method = f" --method {first}" if first else ""
    command = "csdm distill" + (f" {typed(data)}" if data else "") + method + " --ipc 10"
    instead = f" (or --method {' or '.join(others)})" if others else ""
    if out:
        return [f"wrote {out}", f"next: {command} --teachers {typed(out)}{instead}"]
    lines = [f"classifier experts: {pool.classifiers.paths[0].parent}"] if pool.classifiers else []
    lines = [f"{'experts' if settings.experts else 'teachers'}: {pool.paths[0].parent}", *lines, f"next: {command}"]
    if settings != sections.Pretrain():
        lines[-1] += " with the same pretrain settings in --params, or with --teachers DIR after pretrain --out DIR"
    lines[-1] += instead
    return lines


def _followers(pool: TeacherPool) -> list[str]:
    """The methods that such experts are made for, those that learn images alone before those that learn labels too.

    Where none is made for experts of this optimiser with classifiers, those that follow classifiers take them, and say
    which optimiser they are made for.
    """
    trained = pool.headers[0]["recipe"]["optimizer"]
    found = {name: cls.experts for name in method_names() if issubclass(cls := load(name), LearningMethod)}
    taking = {name: own for name, own in found.items() if own and own.classifiers == (pool.classifiers is not None)}
    fitting = [name for name, own in taking.items() if own.optimizer == trained]
    return sorted(fitting or taking, key=lambda name: load(name).default_labels is StoredLabels.soft)
