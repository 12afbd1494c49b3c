"""``csdm evaluate``: students trained on a distilled set alone, beside the protocol's controls."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from csdm_cli.artifacts.run_record import RunRecord, read_sidecar, record_run
from csdm_cli.display import pictures
from csdm_cli.display.console import emit, note
from csdm_cli.parallel.interruption import telling_what_is_kept
from csdm_cli.runs.evaluate import EvaluatedSet, EvaluationTask, prepare_evaluation, tell_of_evaluation
from csdm_cli.runs.evaluate import evaluate as evaluate_set
from csdm_cli.runs.evaluating import Case, Foreign, bars, score_table, tell_empty_classes
from csdm_cli.runs.replaced_results import replaced_results
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.tracked import made_with, per_class, run_name, summary_of
from csdm_cli.safe_text import counted, typed
from csdm_cli.settings import sections
from csdm_cli.storage import kinds, outputs
from csdm_cli.tracking.tracker import Tracker, open_tracker

__all__ = ["Foreign", "run"]

RECORDS = "evaluate.run.json"
OUTPUTS = {
    "accuracy.png": kinds.PNG,
    "confusion.png": kinds.PNG,
    "details.json": kinds.json_with("protocol", "class_names", "rows"),
    "metrics.json": kinds.METRICS,
    "summary.json": kinds.SUMMARY,
    "per_class.csv": kinds.containing("class,images,group,accuracy,accuracy_std"),
    RECORDS: kinds.json_with("distill", evaluate=("finished", "wall_seconds", "machine", "code")),
}


def run(
    settings: sections.Evaluate,
    runtime: Runtime,
    *,
    chosen: frozenset[str],
    file: Path | None,
    data: Path | None,
    foreign: Foreign | None,
    out: Path | None,
    given: frozenset[str] = frozenset(),
    teachers: Path | None = None,
    pretrain: sections.Pretrain | None = None,
) -> None:
    """Evaluate, print the table, and write metrics and pictures to ``out``."""
    start = time.monotonic()
    task = prepare_evaluation(
        *(settings, runtime),
        chosen=chosen,
        file=file,
        data=data,
        foreign=foreign,
        given=given,
        teachers=teachers,
        pretrain=pretrain,
    )
    case, settings, spec = task.case, task.settings, task.spec
    folder = out or (case.path.parent / "evaluate")
    outputs.claim_files(folder, OUTPUTS)
    if replaced := replaced_results(folder, task):
        note(f"warning: {folder} holds other results, which these replace (--out DIR keeps both): {replaced}")
    tell_empty_classes(case.distilled, quiet=runtime.quiet)
    where = f"{case.longtail.folder} ({settings.split})"
    note(f"evaluating {case.path} on {where}, {task.labels} labels", quiet=runtime.quiet)
    described = {"evaluate": settings.model_dump(mode="json") | {"network": spec.name, "labels": str(task.labels)}}
    name = run_name(made_with(case.distilled)["distill"], "evaluate")
    with (
        telling_what_is_kept(quiet=runtime.quiet),
        open_tracker(runtime.tracking, "evaluate", params=described, name=name, quiet=runtime.quiet) as tracker,
    ):
        found = evaluate_set(task, runtime, tracker)
        result = found.metrics()
        _write(folder, result, found, tracker)
        record = record_run(time.monotonic() - start, task.device)
        _write_records(folder, case, record)
        tell_of_evaluation(found, tracker)
        tracker.metrics({"wall_seconds": record.wall_seconds, "peak_memory_bytes": record.peak_memory_bytes})
    shown = f"{case.longtail.manifest.title}, IPC {case.distilled.ipc_text}"
    title = f"{shown}: {_students(task)}, {counted(task.protocol.steps, 'step')}"
    below = found.fairness.table() if found.fairness is not None else []
    lines = [*_gap_line(result), *_inheritance_line(result), _stored_line(found)]
    table = score_table(title, found.rows(), settings.split, untested=found.untested)
    emit(result, lambda: [*table, *lines, *below], as_json=runtime.json)
    note(f"wrote {folder}/", quiet=runtime.quiet)
    across = "" if foreign is not None else f", or csdm cross-arch {typed(case.path.parent)}"
    note(f"next: csdm report {typed(folder)}{across}", quiet=runtime.quiet)


def _stored_line(found: EvaluatedSet) -> str:
    teachers = ", with the teachers that label" if found.task.labeller else ""
    return f"Stored{teachers}: {found.storage.text}."


def _inheritance_line(result: dict[str, Any]) -> list[str]:
    if "inheritance" not in result:
        return []
    stored = result["inheritance"]["stored"]
    classifier, affine = (f"{stored[name]:,} bytes" for name in ("classifier_bytes", "map_bytes"))
    return [f"Inherited with the images: a classifier of {classifier}; its map, fitted to images alone, has {affine}."]


def _students(task: EvaluationTask) -> str:
    """The students' network in words; of a backbone also where its weights are from, for it may have seen much more."""
    frozen = task.spec.frozen
    name = task.spec.name + (f" ({frozen.origin})" if frozen else "")
    return f"linear probes of {name}" if task.probed else name


def _gap_line(result: dict[str, Any]) -> list[str]:
    share = result.get("share_of_gap_closed")
    if share is None:
        return []
    return [f"Share of the gap closed between random images and {result['best_full_control']}: {share:.2f}"]


def _write_records(folder: Path, case: Case, evaluated: RunRecord) -> None:
    """Time, machine and commit, which differ between identical runs, apart from the rest."""
    made = read_sidecar(case.path)
    records = {"evaluate": asdict(evaluated), "distill": asdict(made) if made else None}
    outputs.write_json(folder / RECORDS, records, OUTPUTS[RECORDS])


def _write(folder: Path, result: dict[str, Any], found: EvaluatedSet, tracker: Tracker) -> None:
    info = found.distilled.dataset
    pictures.accuracies(bars(found.rows()), folder / "accuracy.png")
    pictures.confusion(found.own.confusion, info.class_names, folder / "confusion.png")
    outputs.write_json(folder / "metrics.json", result, OUTPUTS["metrics.json"])
    # After the scores: old scores are never taken for those of the set that this file names.
    outputs.write_json(folder / "details.json", found.details(), OUTPUTS["details.json"])
    summary = summary_of(found.own, found.share_of_gap_closed)
    outputs.write_json(folder / "summary.json", summary, OUTPUTS["summary.json"])
    table = per_class(found.own, info.class_names, info.counts)
    outputs.write_csv(folder / "per_class.csv", table, OUTPUTS["per_class.csv"])
    for name in ("accuracy.png", "confusion.png", "details.json", "metrics.json"):
        tracker.artifact(folder / name)
