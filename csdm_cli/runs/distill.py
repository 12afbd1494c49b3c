"""One distilled set, from settings to a folder of artifacts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from csdm_cli.artifacts.distilled import Decoding, Distilled, Provenance, stored_bytes
from csdm_cli.artifacts.file import DISTILLED, FILE_NAME, load_distilled, save_distilled
from csdm_cli.artifacts.grid import grid_path, save_grid
from csdm_cli.artifacts.run_record import RunRecord, record_run, write_sidecar
from csdm_cli.data.holdout import sealed
from csdm_cli.data.store import LongTail
from csdm_cli.device import peak_memory
from csdm_cli.display import pictures
from csdm_cli.display.console import note
from csdm_cli.distillation.checkpoint import Checkpoint, kept_number
from csdm_cli.distillation.loop import Distillation, optimise
from csdm_cli.distillation.sharded import collected
from csdm_cli.images.initial import to_uint8
from csdm_cli.methods.contract import Building, BuildingMethod, OptimisedMethod, Outcome
from csdm_cli.names import LabelKind
from csdm_cli.networks.numerics import faster
from csdm_cli.parallel.ranks import ALONE, Ranks
from csdm_cli.runs import turns
from csdm_cli.runs.assemble import assemble
from csdm_cli.runs.choose import Chosen, SettledOptimised, describe_share
from csdm_cli.runs.labels import label
from csdm_cli.runs.provenance import RECIPE, dataset_info
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.task import Task, is_done, prepare
from csdm_cli.runs.tracked import pretrain_settings, settings_read, tell_of_data, tell_of_teachers
from csdm_cli.safe_text import counted
from csdm_cli.settings.fields import ratio
from csdm_cli.settings.units import in_units
from csdm_cli.storage import kinds, outputs, places
from csdm_cli.teachers.pool import TeacherPool
from csdm_cli.tracking.losses import LossLog
from csdm_cli.tracking.tracker import NullTracker, Tracker

ARTIFACTS = Path("artifacts")

LOSS_CURVE = "loss.png"

LOSS_TABLE = "loss.csv"

COSTS = "costs.run.json"

# The artifact last: while it is missing, the run counts as unfinished.
OUTPUTS = {
    "grid.png": kinds.PNG,
    LOSS_CURVE: kinds.PNG,
    LOSS_TABLE: kinds.containing("step,loss,"),
    COSTS: kinds.json_with("wall_seconds", "peak_memory_bytes", "stored_bytes"),
    "distilled.run.json": kinds.RUN_RECORD,
    FILE_NAME: DISTILLED,
}

CHECKPOINT_SECONDS = 60.0  # between checkpoints, where nobody says


@dataclass(frozen=True)
class Options:
    """How to run, which does not change the result."""

    memory_budget: int | None = None
    checkpoint_every: float = CHECKPOINT_SECONDS
    resume: bool = True


PLAINLY = Options()


@dataclass(frozen=True)
class MadeSet:
    """A distilled set and where it is.

    Attributes:
        path: the artifact, with its grid, loss curve and run record beside it.
        longtail: what it was distilled from.
    """

    path: Path
    distilled: Distilled
    longtail: LongTail


def distil(
    chosen: Chosen,
    longtail: LongTail,
    device: torch.device,
    runtime: Runtime,
    options: Options = PLAINLY,
    *,
    teachers: TeacherPool | Path | None = None,
    out: Path | None = None,
    tracker: Tracker | None = None,
    ranks: Ranks = ALONE,
) -> MadeSet | None:
    """The set of a run, made in ``out`` or a folder of its own in ``artifacts/`` unless it is there already.

    Teachers that are missing are trained first. Rank 0 returns the set, the other ``ranks`` None.

    Raises:
        CsdmError: if data or teachers cannot be read, or files of others would be replaced.
    """
    with sealed("distilling"):
        task = prepare(chosen, longtail, teachers, device, runtime)
        target = (out or default_folder(task, ARTIFACTS)) / FILE_NAME
        with turns.turn(task.key, target, quiet=runtime.quiet) if ranks.leads else nullcontext(False) as waited:
            if ranks.agree(is_done(target, task.key) or (waited and _taken_over(task, target))):
                note(f"{target} already holds this run: nothing to do", quiet=runtime.quiet)
            elif ranks.leads:
                carry_out(task, target, options, runtime, tracker or NullTracker(), ranks)
            else:
                _distil(task, runtime, options, NullTracker(), ranks)
    return MadeSet(target, load_distilled(target), longtail) if ranks.leads else None


def carry_out(
    task: Task, target: Path, options: Options, runtime: Runtime, tracker: Tracker, ranks: Ranks = ALONE
) -> Distilled:
    """Distil, and write the artifact ``target`` with its grid, loss curve and run record beside it.

    The other ``ranks`` distil their shares meanwhile.

    Raises:
        CsdmError: if one of these files would replace what csdm did not write, before anything is done.
    """
    outputs.claim_files(target.parent, OUTPUTS)
    start, manifest = time.monotonic(), task.longtail.manifest
    teachers = task.pool.description if task.pool else None
    tracker.params({"distill": settings_read(task.settings.model_dump(mode="json"))})
    tracker.params({"pretrain": pretrain_settings(teachers)})
    tracker.tags({"method": task.settings.method, "seed": task.settings.seed, "run_key": task.key})
    tell_of_data(tracker, manifest, "train", "distillation")
    tell_of_teachers(tracker, teachers)
    with peak_memory(task.device) as peak:
        if isinstance(task.method, BuildingMethod):
            outcome = _build(task.method, task, runtime)
        else:
            outcome = _optimise(task, runtime, options, tracker, ranks)
        distilled = _package(task, outcome)
    record = record_run(time.monotonic() - start, task.device, peak=peak.bytes, iterations=outcome.iterations)
    _write(target, distilled, outcome, record, tracker)
    turns.remember(task.key, target)
    Checkpoint(places.cache_dir("checkpoints"), task.key, 0).clear()
    return distilled


def _taken_over(task: Task, target: Path) -> bool:
    """Whether the process that was waited for made this very set, which then is in ``target`` too."""
    made = turns.told(task.key)
    if made is None or not is_done(made, task.key):
        return False
    turns.copy_files(made.parent, target.parent, OUTPUTS)
    return is_done(target, task.key)


def default_folder(task: Task, root: Path) -> Path:
    """``root``/DATASET-lt…-METHOD-ipcN-KEY: another run has another name."""
    name = f"{task.longtail.folder.name}-{task.settings.method}-ipc{task.settings.ipc}-{task.key[:8]}"
    return root / name


def _build(method: BuildingMethod, task: Task, runtime: Runtime) -> Outcome:
    settings, data = task.settings, task.longtail.train().to(task.device)
    start = Building(data, settings.ipc, settings.factor, settings.seed, task.pool, runtime.quiet)
    return method.build(start)


def _optimise(task: Task, runtime: Runtime, options: Options, tracker: Tracker, ranks: Ranks) -> Outcome:
    result, seconds, weight = _distil(task, runtime, options, tracker, ranks)
    assert result is not None
    if result.iterations:
        share = (result.overhead_seconds + tracker.overhead_seconds - tracker.startup_seconds) / seconds
        costs = {"seconds_per_iteration": seconds / result.iterations, "overhead_share": share}
        tracker.metrics(costs, task.settings.iterations)
    assert isinstance(task.settings, SettledOptimised)
    asked = weight if ratio(task.settings.calibration) is not None else None
    return Outcome(result.images, task.settings.factor, result.history, result.iterations, asked)


def _distil(
    task: Task, runtime: Runtime, options: Options, tracker: Tracker, ranks: Ranks
) -> tuple[Distillation | None, float, float]:
    """This rank's share, which at rank 0 becomes the whole, None at the others; the seconds of its loop, and the
    weight of calibration."""
    settings, pool, method = task.settings, task.pool, task.method
    assert pool is not None and isinstance(method, OptimisedMethod) and isinstance(settings, SettledOptimised)
    note(f"method: {method.summary}; {counted(len(pool), 'teacher')}; real side: {settings.real}", quiet=runtime.quiet)
    assembly = assemble(
        settings,
        method,
        task.longtail.train().to(task.device),
        pool,
        places.cache_dir(),
        quiet=runtime.quiet,
        memory_budget=options.memory_budget,
        numerics=task.numerics,
        ranks=ranks,
        kept=partial(kept_number, places.cache_dir("checkpoints"), task.key, resume=options.resume),
    )
    share = assembly.share
    if share is not None:
        note(describe_share(share, assembly.formation.classes), quiet=runtime.quiet)
    checkpoint = Checkpoint(places.cache_dir("checkpoints"), task.key, options.checkpoint_every, share)
    start, losses = time.monotonic(), LossLog(tracker, live=share is None)
    if share is not None and not len(share):
        result = Distillation(assembly.pixels.stored, {}, 0.0, 0)
    else:
        result = optimise(
            assembly.pixels,
            method,
            assembly.iterate,
            checkpoint,
            resume=options.resume,
            quiet=runtime.quiet,
            watch=losses.after,
            advice=faster(task.device, task.numerics),
        )
    seconds = time.monotonic() - start
    whole = result if share is None else collected(result, ranks)
    if whole is not None:
        losses.finish(whole.history)
    return whole, seconds, assembly.calibration


def _package(task: Task, outcome: Outcome) -> Distilled:
    settings, pool, shape = task.settings, task.pool, task.longtail.manifest
    images = to_uint8(outcome.images).cpu()
    described: dict[str, Any] = {"distill": in_units(settings.model_dump(mode="json")), "run": task.key}
    if outcome.calibration is not None:
        described["calibration"] = outcome.calibration
    described["teachers"] = pool.description if pool else None
    described["numerics"] = task.numerics.as_dict()
    soft = None
    if settings.labels is LabelKind.soft:
        assert pool is not None
        soft, calibration = label(images, outcome.factor, settings, task.longtail, pool, task.device)
        described["prior_calibration"] = calibration.as_dict()
    recipe = task.params.evaluate.model_dump(mode="json", include=set(RECIPE)) | {"network": task.spec.as_dict()}
    return Distilled(
        images=images,
        labels=torch.arange(shape.classes).repeat_interleave(settings.ipc),
        dataset=dataset_info(task.longtail),
        decoding=Decoding(outcome.factor, images.shape[-1], shape.size),
        provenance=Provenance.of_run(settings.method, settings.seed, described),
        evaluation=recipe,
        soft_labels=soft,
    )


def _write(target: Path, distilled: Distilled, outcome: Outcome, record: RunRecord, tracker: Tracker) -> None:
    """The artifact last: while it is missing, the run counts as unfinished."""
    grid = grid_path(target)
    save_grid(distilled, grid)
    if outcome.history:
        curve = target.parent / LOSS_CURVE
        pictures.loss_curve(_lists(outcome.history), curve)
        tracker.artifact(curve)
        outputs.write_csv(target.parent / LOSS_TABLE, _loss_table(outcome.history), OUTPUTS[LOSS_TABLE])
    costs = {
        "wall_seconds": record.wall_seconds,
        "peak_memory_bytes": record.peak_memory_bytes,
        "stored_bytes": stored_bytes(distilled),
    }
    tracker.headline(costs)
    outputs.write_json(target.parent / COSTS, costs, OUTPUTS[COSTS])
    write_sidecar(target, record)
    save_distilled(target, distilled)
    tracker.artifact(grid)
    tracker.artifact(target)


def _loss_table(history: Mapping[str, Tensor]) -> dict[str, list[Any]]:
    """The loss and its terms at every step, for plots that overlay runs."""
    terms = _lists(history)
    total = [sum(values) for values in zip(*terms.values(), strict=True)]
    return {"step": list(range(len(total))), "loss": total} | terms


def _lists(history: Mapping[str, Tensor]) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in history.items()}
