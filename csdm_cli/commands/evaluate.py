"""``csdm evaluate``: students trained on a distilled set alone, beside the protocol's controls."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from csdm_cli.artifacts.run_record import RunRecord, record_run
from csdm_cli.display import pictures
from csdm_cli.display.console import emit, note
from csdm_cli.evaluation.controls import ControlName, best_full, evaluate_full, evaluate_selections
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.evaluation.scores import share_of_gap_closed
from csdm_cli.evaluation.students import Examiner
from csdm_cli.names import EvaluationSplit, LabelKind
from csdm_cli.networks import build
from csdm_cli.runs.fairness import FairnessReport, measure_fairness
from csdm_cli.runs.judge import (
    Case,
    Foreign,
    bars,
    described_protocol,
    examiner_for,
    judge,
    metrics_of,
    open_case,
    protocol_of,
    score_table,
    tell_empty_classes,
    with_recipe_of,
)
from csdm_cli.runs.labels import measured_on, refuse_own_judges, refuse_unknown_teachers
from csdm_cli.runs.measurement import Measurement
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.tracked import made_with, per_class, run_name, scores_of, summary_of, tell_of_scores, tell_of_set
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


@dataclass(frozen=True)
class _Found:
    """What students scored.

    Attributes:
        own: those of the set.
        controls: those of the controls; none where they were not asked for.
        fairness: None where it was not asked for.
    """

    own: Evaluation
    controls: Mapping[ControlName, Evaluation]
    fairness: FairnessReport | None

    def rows(self, name: str) -> dict[str, Evaluation]:
        """By row name, the set's being ``name``, in the order of the table."""
        beside = {str(control): self.controls[control] for control in ControlName if control in self.controls}
        return {name: self.own} | beside


def run(
    settings: sections.Evaluate,
    runtime: Runtime,
    *,
    chosen: frozenset[str],
    file: Path | None,
    data: Path | None,
    foreign: Foreign | None,
    out: Path | None,
) -> None:
    """Evaluate, print the table, and write metrics and pictures to ``out``."""
    device, start = runtime.apply(), time.monotonic()
    numerics = runtime.student_numerics(device)
    case = open_case(file, data, foreign)
    settings = with_recipe_of(settings, case.distilled, chosen)
    labels = settings.labels or case.distilled.default_labels
    refuse_own_judges(labels, measured_on(case.distilled), settings.split)
    if settings.fairness and labels is LabelKind.soft:
        refuse_unknown_teachers(case.distilled)
    spec, protocol = case.spec(settings.network), protocol_of(settings)
    build(spec, seed=0)  # a network that these images do not fit is an error before anything is done
    folder = out or (case.path.parent / "evaluate")
    outputs.claim_files(folder, OUTPUTS)
    tell_empty_classes(case.distilled, quiet=runtime.quiet)
    note(f"evaluating {case.path} on {case.longtail.folder} ({settings.split}), {labels} labels", quiet=runtime.quiet)
    described = {"evaluate": settings.model_dump(mode="json") | {"network": spec.name, "labels": str(labels)}}
    name = run_name(made_with(case.distilled)["distill"], "evaluate")
    with open_tracker(runtime.tracking, "evaluate", params=described, name=name, quiet=runtime.quiet) as tracker:
        manifest, origin = case.longtail.manifest, case.distilled.provenance
        tracker.tags({"labels": labels, "split": settings.split})
        test = case.images_of(settings.split).to(device)
        tell_of_set(tracker, case.distilled, case.longtail, settings.split)
        examiner = examiner_for(test, spec, protocol, numerics, runtime)
        found = _examine(case, labels, settings, examiner, runtime, tracker)
        result = _metrics(found) | {"method": origin.method, "labels": str(labels), "split": str(settings.split)}
        measured = Measurement.of_case(
            case,
            found.own,
            subject=f"{origin.method} ({labels} labels)",
            labels=labels,
            split=settings.split,
            protocol=described_protocol(protocol, spec, numerics),
        )
        rows = found.rows(measured.subject)
        details = _details(rows, measured, case)
        if found.fairness is not None:
            result["fairness"] = found.fairness.as_dict()
            details["rows"] |= {name: evaluation.as_dict() for name, evaluation in found.fairness.extra.items()}
        _write(folder, result, details, rows, case, tracker)
        _write_records(folder, measured, record_run(time.monotonic() - start, device))
        _log(tracker, found, result.get("share_of_gap_closed"), settings.split)
    shown = f"{manifest.dataset}, β {manifest.imbalance:g}, IPC {case.distilled.ipc_text}"
    title = f"{shown}: {spec.name}, {protocol.steps} steps"
    below = found.fairness.table() if found.fairness is not None else []
    emit(result, lambda: [*score_table(title, rows), *_gap_line(result), *below], as_json=runtime.json)
    note(f"wrote {folder}/\nnext: csdm report {folder}, or csdm cross-arch {case.path.parent}", quiet=runtime.quiet)


def _examine(
    case: Case, labels: LabelKind, settings: sections.Evaluate, examiner: Examiner, runtime: Runtime, tracker: Tracker
) -> _Found:
    """Train and test students on the set, and on what it is compared with."""
    own = judge(case, labels, examiner)
    tell_of_scores(tracker, own, case.distilled, settings.split)
    if not settings.controls:
        return _Found(own, {}, None)
    train = case.longtail.train().to(examiner.device)
    controls: dict[ControlName, Evaluation] = {}
    for measure in (partial(evaluate_selections, train, case.selection), partial(evaluate_full, train)):
        measured = measure(examiner)
        tracker.metrics({_of_control(name): scores_of(one)["accuracy"] for name, one in measured.items()})
        controls |= measured
    if not settings.fairness:
        return _Found(own, controls, None)
    weight = settings.fairness_weight
    return _Found(own, controls, measure_fairness(case, labels, own, controls, train, examiner, weight, runtime))


def _metrics(found: _Found) -> dict[str, Any]:
    """The set's scores at the top, the controls' below, and the share of the gap between them."""
    own, controls = found.own, found.controls
    result = metrics_of(own)
    if controls:
        best = best_full(controls)
        share = share_of_gap_closed(
            own.accuracy.mean, controls[ControlName.random].accuracy.mean, controls[best].accuracy.mean
        )
        result["controls"] = {str(name): metrics_of(evaluation) for name, evaluation in controls.items()}
        result["best_full_control"] = str(best)
        result["share_of_gap_closed"] = share
    return result


def _gap_line(result: dict[str, Any]) -> list[str]:
    share = result.get("share_of_gap_closed")
    if share is None:
        return []
    return [f"Share of the gap closed between random images and {result['best_full_control']}: {share:.2f}"]


def _details(rows: dict[str, Evaluation], measured: Measurement, case: Case) -> dict[str, Any]:
    """All that is known of every student, and all that the ledger needs to run them again."""
    return {
        "protocol": measured.protocol,
        "class_names": case.distilled.dataset.class_names,
        "rows": {name: evaluation.as_dict() for name, evaluation in rows.items()},
        "measured": measured.told(),
    }


def _write_records(folder: Path, measured: Measurement, judged: RunRecord) -> None:
    """Time, machine and commit, which differ between identical runs, apart from the rest."""
    records = {"evaluate": asdict(judged), "distill": asdict(measured.making) if measured.making else None}
    outputs.write_json(folder / RECORDS, records, OUTPUTS[RECORDS])


def _write(
    folder: Path,
    result: dict[str, Any],
    details: dict[str, Any],
    rows: dict[str, Evaluation],
    case: Case,
    tracker: Tracker,
) -> None:
    own = next(iter(rows.values()))
    pictures.accuracies(bars(rows), folder / "accuracy.png")
    pictures.confusion(own.confusion, case.distilled.dataset.class_names, folder / "confusion.png")
    outputs.write_json(folder / "details.json", details, OUTPUTS["details.json"])
    outputs.write_json(folder / "metrics.json", result, OUTPUTS["metrics.json"])
    summary = summary_of(own, result.get("share_of_gap_closed"))
    outputs.write_json(folder / "summary.json", summary, OUTPUTS["summary.json"])
    info = case.distilled.dataset
    table = per_class(own, info.class_names, info.counts)
    outputs.write_csv(folder / "per_class.csv", table, OUTPUTS["per_class.csv"])
    for name in ("accuracy.png", "confusion.png", "details.json", "metrics.json"):
        tracker.artifact(folder / name)


def _log(tracker: Tracker, found: _Found, share: float | None, split: EvaluationSplit) -> None:
    """What is known in the end, beside the scores."""
    if share is not None:
        log = tracker.headline if split is EvaluationSplit.test else tracker.metrics
        log({"share_of_gap_closed": share})
    if found.fairness is not None:
        tracker.metrics(found.fairness.metrics())


def _of_control(name: ControlName) -> str:
    return f"control/{str(name).replace(',', '')}"
