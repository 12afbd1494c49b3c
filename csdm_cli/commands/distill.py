"""``csdm distill``: a long-tailed set and its teachers become a distilled set."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from csdm_cli.artifacts.accounting import storage_of
from csdm_cli.artifacts.distilled import Decoding
from csdm_cli.artifacts.grid import grid_path
from csdm_cli.data.store import LongTail, is_in
from csdm_cli.display.console import emit, note
from csdm_cli.names import LEARNED, BackboneName, Preset
from csdm_cli.parallel.ranks import joined
from csdm_cli.runs.backbones import is_frozen
from csdm_cli.runs.choose import choose, refuse_idle_numerics, refuse_to_couple
from csdm_cli.runs.distill import ARTIFACTS, OUTPUTS, MadeSet, distil
from csdm_cli.runs.labels import describe_calibration
from csdm_cli.runs.long_tail import given_or_newest
from csdm_cli.runs.optimise import Options
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.tracked import run_name
from csdm_cli.safe_text import markup, shown, typed
from csdm_cli.settings import sections
from csdm_cli.settings.presets import tuned_options
from csdm_cli.storage import atomic, outputs
from csdm_cli.tracking.tracker import open_tracker


def run(
    settings: sections.Distill,
    runtime: Runtime,
    *,
    params: sections.Params,
    given: frozenset[str],
    preset: Preset | None,
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
    refuse_idle_numerics(chosen, runtime.given_numerics, memory_budget)
    device = runtime.apply()
    if out:
        outputs.claim_files(out, OUTPUTS)
    else:
        atomic.refuse_unwritable(ARTIFACTS)
    longtail = given_or_newest(data, quiet=runtime.quiet)
    note(f"long-tailed set: {longtail.folder}", quiet=runtime.quiet)
    if preset is None and (better := tuned_options(settings.method, settings.model_fields_set)):
        note(f"hint: {settings.method} did best on CIFAR-10-LT with {better}: see --preset common", quiet=runtime.quiet)
    if chosen.method.for_backbones and teachers is None and not is_frozen(params.pretrain):
        note(_without_backbone(settings.method, data), quiet=runtime.quiet)
    if scarce := _scarce(longtail, chosen.settings.ipc):
        note(scarce, quiet=runtime.quiet)
    options = Options(memory_budget and memory_budget * 2**20, checkpoint_every, resume)
    name = run_name(chosen.settings.model_dump(mode="json"))
    with (
        joined(device) as ranks,
        open_tracker(runtime.tracking, "distill", name=name, quiet=runtime.quiet) as tracker,
    ):
        made = distil(
            *(chosen, longtail, device, runtime, options),
            teachers=teachers,
            out=out,
            tracker=tracker,
            ranks=ranks,
        )
    if made is not None:
        _tell(made, runtime)


def _without_backbone(method: str, data: Path | None) -> str:
    """A hint that a method for frozen backbones gets networks trained on the set, and how it gets a backbone."""
    pretrain = f"csdm pretrain{f' {typed(data)}' if data else ''} --network {BackboneName.patch_kmeans} --out backbone"
    return (
        f"hint: {method} is made for frozen backbones, and no backbone is named: it looks through networks trained on"
        f" the set; `{pretrain}` makes one, and --teachers backbone takes it"
    )


def _scarce(longtail: LongTail, ipc: int) -> str | None:
    """A warning about an ``ipc`` that asks for more images of a class than there are; None if there are enough."""
    manifest = longtail.manifest
    few, name = min(zip(manifest.counts, manifest.class_names, strict=True))
    short = sum(count < ipc for count in manifest.counts)
    if not short:
        return None
    return (
        f"--ipc {ipc} stores more images than there are real ones in {short} of {manifest.classes} classes"
        f" (class {shown(name, 80)} has {few}): theirs start from repeated images"
    )


def _tell(made: MadeSet, runtime: Runtime) -> None:
    """Print the result, and on stderr the next command."""
    target, distilled, longtail = made.path, made.distilled, made.longtail
    result = {
        "file": str(target),
        "run": distilled.provenance.config["run"],
        "method": distilled.provenance.method,
        "images": len(distilled.labels),
        "classes": distilled.dataset.classes,
        "ipc": max(distilled.ipc),
        "factor": distilled.decoding.factor,
        "labels": str(distilled.default_labels),
        "parameterization": distilled.kind,
        "storage": asdict(storage_of(distilled)),
        "grid": str(grid_path(target)),
    }
    decoding = distilled.decoding
    how = f"factor {decoding.factor}" if isinstance(decoding, Decoding) else f"from {decoding.made_of}"
    text = "{file}: {images} images of {classes} classes by {method}, {how}, {labels} labels".format(how=how, **result)
    lines = [
        markup(text, most=5000),
        f"stored: {storage_of(distilled).text}",
        markup(f"picture: {result['grid']}", most=5000),
    ]
    if (rate := distilled.learned_rate) is not None:
        result["learned_rate"] = rate
        lines.insert(1, f"learned step size of its students: {rate:.4g}; csdm evaluate --lr {LEARNED} uses it")
    if (weight := distilled.provenance.config.get("calibration")) is not None:
        result["calibration"] = weight
        asked = distilled.provenance.config["distill"]["calibration"]
        lines.insert(1, f"calibration: {asked} of the matching's gradient at the start is a weight of {weight:.4g}")
    if calibration := distilled.provenance.config.get("prior_calibration"):
        result["prior_calibration"] = calibration
        lines.insert(1, describe_calibration(calibration))
    emit(result, lambda: lines, as_json=runtime.json)
    data = "" if is_in(longtail.folder) else f" --data {typed(longtail.folder)}"
    note(f"next: csdm evaluate {typed(target.parent)}{data}", quiet=runtime.quiet)
