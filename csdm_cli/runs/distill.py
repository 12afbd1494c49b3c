"""One distilled set, from settings to a folder of artifacts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from csdm_cli.artifacts.accounting import storage_of
from csdm_cli.artifacts.distilled import Coded, Decoding, Distilled, Provenance, SoftLabels
from csdm_cli.artifacts.file import DISTILLED, FILE_NAME, load_distilled, save_distilled
from csdm_cli.artifacts.grid import grid_path, save_grid
from csdm_cli.artifacts.run_record import RunRecord, record_run, write_sidecar
from csdm_cli.data.holdout import sealed
from csdm_cli.data.store import LongTail
from csdm_cli.device import peak_memory
from csdm_cli.display import pictures
from csdm_cli.display.console import note
from csdm_cli.distillation.checkpoint import Checkpoint
from csdm_cli.images.initial import to_uint8
from csdm_cli.methods.contract import Building, BuildingMethod, Outcome
from csdm_cli.names import LEARNED, StoredLabels
from csdm_cli.parallel.ranks import ALONE, Ranks
from csdm_cli.parameterisations.multi_formation import MultiFormation
from csdm_cli.parameterisations.stored import described
from csdm_cli.runs import turns
from csdm_cli.runs.choose import Chosen
from csdm_cli.runs.labels import label
from csdm_cli.runs.optimise import PLAINLY, Options, optimised
from csdm_cli.runs.provenance import RECIPE, dataset_info
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.task import Task, is_done, prepare
from csdm_cli.runs.tracked import pretrain_settings, settings_read, tell_of_data, tell_of_teachers
from csdm_cli.runs.whole_run import whole_seconds
from csdm_cli.settings.units import in_units
from csdm_cli.storage import kinds, outputs, places
from csdm_cli.storage.keys import content_key
from csdm_cli.teachers.pool import TeacherPool
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

LEARNED_WITH_THE_IMAGES = "learning with the images"


@dataclass(frozen=True)
class MadeSet:
    """A distilled set and where it is.

    Attributes:
        path: the artifact, with its grid, loss curve and run record beside it.
        longtail: the long-tailed set that it was distilled from.
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
                renewed = ranks.leads and _renew_recipe(task, target)
                told = "only the recipe of its students was renewed" if renewed else "nothing to do"
                note(f"{target} already holds this run: {told}", quiet=runtime.quiet)
                if tracker:  # without the run's key: accuracies go to the run that made the set
                    _tell_of_settings(task, tracker)
                    tracker.tags({"nothing_to_do": True})
            elif ranks.leads:
                carry_out(task, target, options, runtime, tracker or NullTracker(), ranks)
            else:
                optimised(task, runtime, options, NullTracker(), ranks)
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
    start = time.monotonic()
    _tell_of_settings(task, tracker)
    tracker.tags({"run_key": task.key})
    with peak_memory(task.device) as peak:
        if isinstance(task.method, BuildingMethod):
            outcome = _build(task.method, task, runtime)
        else:
            made = optimised(task, runtime, options, tracker, ranks)
            assert made is not None  # by rank 0
            outcome = made
        distilled = _package(task, outcome)
    seconds = time.monotonic() - start + outcome.earlier_seconds
    record = record_run(seconds, task.device, peak=peak.bytes, iterations=outcome.iterations)
    _write(target, distilled, outcome, record, tracker)
    turns.remember(task.key, target)
    Checkpoint(places.cache_dir("checkpoints"), task.key, 0).clear()
    return distilled


def _tell_of_settings(task: Task, tracker: Tracker) -> None:
    """The settings of a run, and the images and teachers that it looks at."""
    teachers = task.pool.description if task.pool else None
    tracker.params({"distill": settings_read(task.settings.model_dump(mode="json"))})
    tracker.params({"pretrain": pretrain_settings(teachers)})
    tracker.tags({"method": task.settings.method, "seed": task.settings.seed})
    tell_of_data(tracker, task.longtail.manifest, "train", "distillation")
    tell_of_teachers(tracker, teachers)


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


def _package(task: Task, outcome: Outcome) -> Distilled:
    settings, pool, data = task.settings, task.pool, dataset_info(task.longtail)
    stored, decoding, per_class = _stored(outcome, settings.ipc, task.longtail.manifest.size)
    told: dict[str, Any] = {"distill": in_units(settings.model_dump(mode="json")), "run": task.key}
    if outcome.calibration is not None:
        told["calibration"] = outcome.calibration
    told["teachers"] = pool.description if pool else None
    told["numerics"] = task.numerics.as_dict()
    distilled = Distilled(
        stored=stored,
        labels=torch.arange(data.classes).repeat_interleave(per_class),
        dataset=data,
        decoding=decoding,
        provenance=Provenance.of_run(settings.method, settings.seed, told),
        evaluation=_recipe(task, outcome.learned_rate),
    )
    if outcome.label_logits is not None:
        learned = outcome.label_logits.detach().cpu().float().softmax(1)
        return replace(distilled, soft_labels=SoftLabels(learned, 1.0, LEARNED_WITH_THE_IMAGES))
    if settings.labels is not StoredLabels.soft:
        return distilled
    assert pool is not None
    images = to_uint8(distilled.images) if isinstance(decoding, Coded) else stored["images"]
    soft, calibration = label(images, decoding.factor, settings, task.longtail, pool, task.device)
    told["prior_calibration"] = calibration.as_dict()
    origin = Provenance.of_run(settings.method, settings.seed, told)
    return replace(distilled, soft_labels=soft, provenance=origin)


def _recipe(task: Task, learned_rate: float | None) -> dict[str, Any]:
    """How students of the set are trained unless told otherwise; ``learned_rate``: step size of the set's own."""
    recipe = task.params.evaluate.model_dump(mode="json", include=set(RECIPE)) | {"network": task.spec.as_dict()}
    if recipe["lr"] == LEARNED:  # each set is meant for the common recipe: its own step size is asked for by name
        del recipe["lr"]
    return recipe if learned_rate is None else recipe | {"learned_rate": learned_rate}


def _renew_recipe(task: Task, target: Path) -> bool:
    """Give the set in ``target`` the students' recipe of now, on which no image depends, if it has another."""
    found = load_distilled(target)
    recipe = _recipe(task, found.learned_rate)
    if content_key(found.evaluation) == content_key(recipe):
        return False
    save_distilled(target, replace(found, evaluation=recipe))
    return True


def _stored(outcome: Outcome, ipc: int, size: int) -> tuple[dict[str, Tensor], Decoding | Coded, int]:
    """An outcome's quantised numbers, the way from them to training images, and how many a class has before it."""
    form = outcome.parameterisation
    if form is None:
        assert outcome.images is not None
        images = to_uint8(outcome.images).cpu()
        return {"images": images}, Decoding(outcome.factor, images.shape[-1], size), ipc
    stored = {name: tensor.cpu() for name, tensor in form.stored(dict(outcome.leaves)).items()}
    if stored.keys() == {"images"}:  # whatever was learned, images are what is kept
        factor = form.factor if isinstance(form, MultiFormation) else 1
        return stored, Decoding(factor, stored["images"].shape[-1], size), ipc
    return stored, Coded(described(form), ipc, size), form.per_class


def _write(target: Path, distilled: Distilled, outcome: Outcome, record: RunRecord, tracker: Tracker) -> None:
    """The artifact last: while it is missing, the run counts as unfinished."""
    grid = grid_path(target)
    save_grid(distilled, grid)
    if outcome.history:
        curve = target.parent / LOSS_CURVE
        pictures.loss_curve(_lists(outcome.history), curve)
        tracker.artifact(curve)
        outputs.write_csv(target.parent / LOSS_TABLE, _loss_table(outcome.history), OUTPUTS[LOSS_TABLE])
    storage = storage_of(distilled)
    costs = {
        "wall_seconds": whole_seconds(record, distilled.provenance.method, distilled.provenance.config),
        "peak_memory_bytes": record.peak_memory_bytes,
        "stored_bytes": storage.bytes,
        "stored_numbers": storage.numbers,
        "ipc_equivalent": storage.ipc_equivalent,
    }
    tracker.headline({name: value for name, value in costs.items() if value is not None})
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
