"""``csdm distill``: a long-tailed set and its teachers become a distilled set."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from csdm_cli.artifacts.distilled import Distilled
from csdm_cli.artifacts.file import FILE_NAME, load_distilled
from csdm_cli.artifacts.grid import grid_path
from csdm_cli.data.holdout import sealed
from csdm_cli.data.store import LongTail, is_in
from csdm_cli.display.console import emit, note
from csdm_cli.errors import UsageError
from csdm_cli.methods.contract import OptimisedMethod
from csdm_cli.parallel.ranks import joined
from csdm_cli.runs import turns
from csdm_cli.runs.choose import choose, refuse_to_couple
from csdm_cli.runs.distill import ARTIFACTS, OUTPUTS, Options, _distil, _taken_over, carry_out, default_folder
from csdm_cli.runs.labels import describe_calibration
from csdm_cli.runs.long_tail import given_or_newest
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.task import is_done, prepare
from csdm_cli.runs.tracked import run_name
from csdm_cli.safe_text import markup, shown
from csdm_cli.settings import sections
from csdm_cli.storage import atomic, outputs
from csdm_cli.tracking.tracker import NullTracker, open_tracker


def run(
    settings: sections.Distill,
    runtime: Runtime,
    *,
    params: sections.Params,
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
