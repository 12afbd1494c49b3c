"""``csdm cross-arch``: the evaluation protocol on several architectures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from csdm_cli.artifacts.stored_evaluation import ACROSS
from csdm_cli.display import pictures
from csdm_cli.display.console import emit, note
from csdm_cli.errors import UsageError
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.parallel.interruption import telling_what_is_kept
from csdm_cli.runs.cross_arch import CrossArchTask, OnArchitecture, cross_arch, prepare_cross_arch
from csdm_cli.runs.cross_backbones import (
    OF_BACKBONES,
    OF_NETWORKS,
    CrossBackbonesTask,
    OnBackbone,
    cross_backbones,
    prepare_cross_backbones,
)
from csdm_cli.runs.evaluating import bars, score_table, tell_empty_classes
from csdm_cli.runs.provenance import RECIPE
from csdm_cli.runs.replaced_results import replaced_on_networks, told_of
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.tracked import made_with, run_name
from csdm_cli.safe_text import typed
from csdm_cli.settings import sections
from csdm_cli.storage import kinds, outputs
from csdm_cli.tracking.tracker import Tracker, open_tracker

Found = Mapping[str, OnArchitecture | OnBackbone]
OUTPUTS = {
    "accuracy.png": kinds.PNG,
    "metrics.json": kinds.METRICS,
    "summary.json": kinds.SUMMARY,
    ACROSS: kinds.containing('"recipe"', '"students"', '"test_points"', '"network"'),
}


def run(
    settings: sections.CrossArch,
    runtime: Runtime,
    *,
    recipe: sections.Evaluate,
    chosen: frozenset[str],
    file: Path | None,
    data: Path | None,
    out: Path | None,
    backbones: Sequence[Path] = (),
    given: frozenset[str] = frozenset(),
) -> None:
    """Evaluate on each architecture, with the recipe of evaluate, and write metrics and a picture to ``out``.

    ``chosen`` are the fields of ``recipe`` that the user set; the artifact's own fill in the others. With ``backbones``
    these are probed, and no other network. ``given`` are the options on the command line.

    Raises:
        UsageError: if one of them has no effect.
    """
    for name in OF_NETWORKS if backbones else OF_BACKBONES:
        if name in given:
            beside = "with --backbone" if backbones else "without --backbone"
            raise UsageError(f"--{name.replace('_', '-')} has no effect {beside}")
    task: CrossArchTask | CrossBackbonesTask
    if backbones:
        task = prepare_cross_backbones(
            *(settings, recipe, runtime), backbones=backbones, chosen=chosen, file=file, data=data
        )
    else:
        task = prepare_cross_arch(settings, recipe, runtime, chosen=chosen, file=file, data=data)
    case = task.case
    folder = out or (case.path.parent / "cross_arch")
    outputs.claim_files(folder, OUTPUTS)
    if replaced := replaced_on_networks(folder, task):
        note(f"warning: {folder} holds other results, which these replace (--out DIR keeps both): on {replaced}")
    tell_empty_classes(case.distilled, quiet=runtime.quiet)
    note(f"evaluating {case.path} on {', '.join(task.names)}; {task.labels} labels", quiet=runtime.quiet)
    described = {
        "cross_arch": settings.model_dump(mode="json"),
        "evaluate": task.recipe.model_dump(mode="json", include=set(RECIPE) - {"steps"}),
    }
    title = run_name(made_with(case.distilled)["distill"], "cross-arch")
    with (
        telling_what_is_kept(quiet=runtime.quiet),
        open_tracker(runtime.tracking, "cross-arch", params=described, name=title, quiet=runtime.quiet) as tracker,
    ):
        tracker.tags({"labels": task.labels, "split": task.recipe.split})
        found: dict[str, OnArchitecture | OnBackbone] = {}
        if isinstance(task, CrossArchTask):
            found |= cross_arch(task, runtime, tracker)
        else:
            found |= cross_backbones(task, runtime, tracker)
        _write(folder, task, found, tracker)
    manifest = case.longtail.manifest
    title = f"{manifest.title}, IPC {case.distilled.ipc_text}: {task.duration}"
    result = {name: one.metrics() for name, one in found.items()}
    split = task.recipe.split
    untested = manifest.untested(split)
    emit(result, lambda: score_table(title, _rows(found), split, "network: set", untested), as_json=runtime.json)
    note(f"wrote {folder}/\nnext: csdm report {typed(folder)}", quiet=runtime.quiet)


def _rows(found: Found) -> dict[str, Evaluation]:
    """The set on each architecture, and below it what it is compared with."""
    return {f"{name}: {row}": own for name, one in found.items() for row, own in one.rows().items()}


def _write(folder: Path, task: CrossArchTask | CrossBackbonesTask, found: Found, tracker: Tracker) -> None:
    result = {name: one.metrics() for name, one in found.items()}
    pictures.accuracies(bars(_rows(found)), folder / "accuracy.png")
    outputs.write_json(folder / "metrics.json", result, OUTPUTS["metrics.json"])
    outputs.write_json(folder / ACROSS, told_of(task), OUTPUTS[ACROSS])
    summary = {"accuracy_percent": {name: one["accuracy"]["mean"] for name, one in result.items()}}
    outputs.write_json(folder / "summary.json", summary, OUTPUTS["summary.json"])
    for name in ("accuracy.png", "metrics.json"):
        tracker.artifact(folder / name)
