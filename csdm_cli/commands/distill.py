"""``csdm distill``: a long-tailed set and its teachers become a distilled set."""

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

from csdm_cli import atomic, config, pictures, places
from csdm_cli.artifacts.distilled import Decoding, Distilled, Provenance, stored_bytes, to_uint8
from csdm_cli.artifacts.file import DISTILLED, FILE_NAME, load_distilled, save_distilled
from csdm_cli.artifacts.grid import grid_path, save_grid
from csdm_cli.artifacts.sidecar import RunRecord, record_run, write_sidecar
from csdm_cli.commands.assembling import assemble
from csdm_cli.commands.judging import RECIPE, dataset_info
from csdm_cli.commands.labelling import describe_calibration, label
from csdm_cli.commands.make_lt import given_or_newest
from csdm_cli.commands.runtime import Runtime
from csdm_cli.commands.sharing import describe_share, refuse_to_couple
from csdm_cli.commands.task import Task, choose, is_done, prepare
from csdm_cli.commands.tracked import pretrain_settings, run_name, settings_read, tell_of_data, tell_of_teachers
from csdm_cli.console import emit, note
from csdm_cli.data.holdout import sealed
from csdm_cli.data.store import LongTail, is_in
from csdm_cli.display.safe_text import markup, shown
from csdm_cli.engine.checkpoint import Checkpoint, kept_number
from csdm_cli.engine.distill import Distillation, optimise
from csdm_cli.engine.memory import peak_memory
from csdm_cli.engine.ranks import ALONE, Ranks, joined
from csdm_cli.engine.sharing import collected
from csdm_cli.errors import UsageError
from csdm_cli.ledger.units import in_units
from csdm_cli.methods.contract import Building, BuildingMethod, OptimisedMethod
from csdm_cli.names import LabelKind
from csdm_cli.runs import turns
from csdm_cli.storage import kinds, outputs
from csdm_cli.tracking import NullTracker, Tracker, open_tracker
from csdm_cli.tracking_losses import LossLog
from csdm_cli.values import ratio

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
class Outcome:
    """What a method made: stored images in [0, 1], their factor, and the loss terms of every step.

    Attributes:
        iterations: that this process ran; fewer than all after a resume.
        calibration: the weight that a ratio came to; None where a number was given.
    """

    images: Tensor
    factor: int
    history: dict[str, Tensor]
    iterations: int
    calibration: float | None = None


@dataclass(frozen=True)
class Options:
    """How to run, which does not change the result."""

    memory_budget: int | None
    checkpoint_every: float
    resume: bool


def run(
    settings: config.Distill,
    runtime: Runtime,
    *,
    params: config.Params,
    given: frozenset[str],
    data: Path | None,
    teachers: Path | None,
    out: Path | None,
    memory_budget: int | None,
    checkpoint_every: float,
    resume: bool,
) -> None:
    """Distil, write the artifact with its grid, loss curve and run record, and say where they are."""
    chosen = choose(params.model_copy(update={"distill": settings}), given)
    refuse_to_couple(chosen.settings, chosen.method)
    if runtime.given_numerics and not isinstance(chosen.method, OptimisedMethod):
        option = runtime.given_numerics[0]
        raise UsageError(f"{option} has no effect on {chosen.settings.method}, which optimises nothing")
    device = runtime.apply()
    if out:
        outputs.claim_files(out, OUTPUTS)
    else:
        atomic.refuse_unwritable(ARTIFACTS)
    longtail = given_or_newest(data, quiet=runtime.quiet)
    note(f"long-tailed set: {longtail.folder}", quiet=runtime.quiet)
    if scarce := _scarce(longtail, chosen.settings.ipc):
        note(scarce, quiet=runtime.quiet)
    options = Options(memory_budget and memory_budget * 2**20, checkpoint_every, resume)
    name = run_name(chosen.settings.model_dump(mode="json"))
    with (
        sealed("distilling"),
        joined(device) as ranks,
        open_tracker(runtime.tracking, "distill", name=name, quiet=runtime.quiet) as tracker,
    ):
        task = prepare(chosen, longtail, teachers, device, runtime)
        target = (out or default_folder(task, ARTIFACTS)) / FILE_NAME
        with turns.turn(task.key, target, quiet=runtime.quiet) if ranks.leads else nullcontext(False) as waited:
            if ranks.agree(is_done(target, task.key) or (waited and _taken_over(task, target))):
                note(f"{target} already holds this run: nothing to do", quiet=runtime.quiet)
            elif ranks.leads:
                carry_out(task, target, options, runtime, tracker, ranks)
            else:
                _distil(task, runtime, options, NullTracker(), ranks)
    if ranks.leads:
        _tell(target, load_distilled(target), longtail, runtime)


def _scarce(longtail: LongTail, ipc: int) -> str | None:
    """What to know of an ``ipc`` that asks for more images of a class than there are; None if there are enough."""
    manifest = longtail.manifest
    few, name = min(zip(manifest.counts, manifest.class_names, strict=True))
    short = sum(count < ipc for count in manifest.counts)
    if not short:
        return None
    return (
        f"--ipc {ipc} stores more images than there are real ones in {short} of {manifest.classes} classes"
        f" (class {shown(name, 80)} has {few}): theirs start from repeated images"
    )


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
    built = method.build(start)
    return Outcome(built.images, built.factor, {}, 0)


def _optimise(task: Task, runtime: Runtime, options: Options, tracker: Tracker, ranks: Ranks) -> Outcome:
    result, seconds, weight = _distil(task, runtime, options, tracker, ranks)
    assert result is not None
    if result.iterations:
        share = (result.overhead_seconds + tracker.overhead_seconds - tracker.startup_seconds) / seconds
        costs = {"seconds_per_iteration": seconds / result.iterations, "overhead_share": share}
        tracker.metrics(costs, task.settings.iterations)
    asked = weight if ratio(task.settings.calibration or 0.0) is not None else None
    return Outcome(result.images, task.settings.factor, result.history, result.iterations, asked)


def _distil(
    task: Task, runtime: Runtime, options: Options, tracker: Tracker, ranks: Ranks
) -> tuple[Distillation | None, float, float]:
    """This rank's share, which at rank 0 becomes the whole, None at the others; the seconds of its loop, and the
    weight of calibration."""
    settings, pool, method = task.settings, task.pool, task.method
    assert pool is not None and isinstance(method, OptimisedMethod)
    note(f"method: {method.summary}; {len(pool)} teachers; real side: {settings.real}", quiet=runtime.quiet)
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


def _tell(target: Path, distilled: Distilled, longtail: LongTail, runtime: Runtime) -> None:
    """What came out, on stdout, and what to do with it."""
    result = {
        "file": str(target),
        "run": distilled.provenance.config["run"],
        "method": distilled.provenance.method,
        "images": len(distilled.images),
        "classes": distilled.dataset.classes,
        "ipc": max(distilled.ipc),
        "factor": distilled.decoding.factor,
        "labels": str(distilled.default_labels),
        "grid": str(grid_path(target)),
    }
    text = "{file}: {images} images of {classes} classes by {method}, factor {factor}, {labels} labels".format(**result)
    lines = [markup(text, most=5000), markup(f"picture: {result['grid']}", most=5000)]
    if (weight := distilled.provenance.config.get("calibration")) is not None:
        result["calibration"] = weight
        asked = distilled.provenance.config["distill"]["calibration"]
        lines.insert(1, f"calibration: {asked} of the matching's gradient at the start is a weight of {weight:.4g}")
    if calibration := distilled.provenance.config.get("prior_calibration"):
        result["prior_calibration"] = calibration
        lines.insert(1, describe_calibration(calibration))
    emit(result, lambda: lines, as_json=runtime.json)
    data = "" if is_in(longtail.folder) else f" --data {longtail.folder}"
    note(f"next: csdm evaluate {target.parent}{data}", quiet=runtime.quiet)


def _loss_table(history: Mapping[str, Tensor]) -> dict[str, list[Any]]:
    """The loss and its terms at every step, for plots that overlay runs."""
    terms = _lists(history)
    total = [sum(values) for values in zip(*terms.values(), strict=True)]
    return {"step": list(range(len(total))), "loss": total} | terms


def _lists(history: Mapping[str, Tensor]) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in history.items()}
