"""The files of a comparison: its tables as JSON with every set and student, as CSV, as scores alone, and a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from csdm_cli import __version__
from csdm_cli.artifacts.run_record import record_run
from csdm_cli.comparison.tables import Table, TableRow, scores_of_students
from csdm_cli.display import pictures
from csdm_cli.runs.measurement import Measurement
from csdm_cli.runs.provenance import facts_of
from csdm_cli.safe_text import shown
from csdm_cli.settings import sections
from csdm_cli.storage import kinds, outputs
from csdm_cli.storage.keys import source_hash
from csdm_cli.tracking.tracker import Tracker

OUTPUTS = {
    "accuracy.png": kinds.PNG,
    "compare.csv": kinds.containing("dataset,imbalance,ipc,row,control,sets,students,"),
    "metrics.json": kinds.METRICS,
    "summary.json": kinds.SUMMARY,
    "compare.json": kinds.json_with("settings", "source", "finished", "machine", "tables"),
}


def described(settings: sections.Compare) -> dict[str, Any]:
    """The settings that decide a comparison, as JSON values: where it is computed is none of them."""
    return settings.model_dump(mode="json", exclude={"executor"})


def result_of(found: Sequence[Table], settings: sections.Compare, device: torch.device) -> dict[str, Any]:
    """All tables as JSON values, with the settings, the code and the machine that made them now."""
    record = record_run(0.0, device if torch.cuda.is_available() else "cpu")  # a cluster's GPUs may not be here
    code = record.code
    return {
        "settings": described(settings),
        "commit": code.commit if code else None,
        "dirty": code.dirty if code else None,
        "source": source_hash(),
        "finished": record.finished,
        "device": device.type,
        "machine": asdict(record.machine),
        "versions": {"csdm": __version__, "torch": str(torch.__version__)},
        "tables": {item.name: as_json(item) for item in found},
    }


def write(folder: Path, found: Sequence[Table], result: dict[str, Any], tracker: Tracker) -> None:
    """Write ``result`` and what else tells of the tables to ``folder``; the tracked run gets the same."""
    axis = f"{found[0].split} accuracy in %, mean and standard deviation over all students of all sets"
    bars = {
        item.title: [
            (row.name, 100 * row.accuracy.students.mean, 100 * (row.accuracy.students.std or 0.0), row.control)
            for row in item.rows
        ]
        for item in found
        if item.rows
    }
    if bars:
        pictures.comparison(bars, axis, folder / "accuracy.png")
        outputs.write_text(folder / "compare.csv", as_csv(found), OUTPUTS["compare.csv"])
        for name in ("accuracy.png", "compare.csv"):
            tracker.artifact(folder / name)
    scores = {item.name: scores_only(item) for item in found}
    percent = {item.name: accuracies(item) for item in found}
    outputs.write_json(folder / "metrics.json", scores, OUTPUTS["metrics.json"])
    outputs.write_json(folder / "compare.json", result, OUTPUTS["compare.json"])
    outputs.write_json(folder / "summary.json", {"accuracy_percent": percent}, OUTPUTS["summary.json"])
    for item in found:
        tracker.headline({f"accuracy/{item.name}/{row}": value for row, value in percent[item.name].items()})
    for name in ("metrics.json", "compare.json"):
        tracker.artifact(folder / name)


def as_csv(found: Sequence[Table]) -> str:
    """One line per row of all tables; accuracies in percent."""
    lines = [_flat(item, row) for item in found for row in item.rows]
    names = list(dict.fromkeys(name for line in lines for name in line))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return buffer.getvalue()


def _flat(item: Table, row: TableRow) -> dict[str, Any]:
    manifest, recipe = item.longtail.manifest, row.student_protocol.protocol.recipe
    line: dict[str, Any] = {
        "dataset": shown(manifest.dataset),
        "imbalance": manifest.imbalance,
        "ipc": item.ipc,
        "row": shown(row.name),
        "control": row.control,
        "sets": row.distinct,
        "students": sum(len(evaluation.students) for evaluation in row.evaluations),
    }
    for name, score in row.scores.items():
        line |= {name: _rounded(score.students.mean), f"{name}_std": _rounded(score.students.std)}
    return line | {
        "accuracy_std_over_sets": _rounded(row.accuracy.sets.std),
        "share_of_gap_closed": None if row.share is None else round(row.share, 4),
        "seconds": row.seconds,
        "peak_memory_bytes": row.peak_memory,
        "storage_bytes": row.storage,
        "stored_numbers": row.stored_numbers,
        "ipc_equivalent": row.ipc_equivalent,
        "parameterization": row.parameterization,
        "labels": row.labels,
        "factor": row.factor,
        "distilled_under": row.augment,
        "students_augment": recipe.augment,
        "students_steps": row.student_protocol.protocol.steps,
        "network": f"{row.student_protocol.spec.name}-{row.student_protocol.spec.width}",
        "split": item.split,
        "train_fingerprint": manifest.fingerprints["train"],
    }


def scores_only(item: Table) -> dict[str, Any]:
    """Scores in percent by row and score, and their split: the part that does not differ between identical runs."""
    return {
        row.name: {
            name: {
                "mean": _rounded(score.students.mean),
                "std": _rounded(score.students.std),
                "students": score.students.count,
            }
            for name, score in row.scores.items()
        }
        | {"share_of_gap_closed": row.share, "split": item.split}
        for row in item.rows
    }


def accuracies(item: Table) -> dict[str, float]:
    """Accuracy of every row, in percent."""
    return {row.name: round(100 * row.accuracy.students.mean, 4) for row in item.rows}


def as_json(item: Table) -> dict[str, Any]:
    """Everything: each set's settings, seed, record and students, besides the scores in percent."""
    untested = item.longtail.manifest.untested(item.split)
    return ({"untested": list(untested)} if untested else {}) | {
        "data": facts_of(item.longtail.manifest),
        "ipc": item.ipc,
        "tested_on": item.split,
        "rows": [_full(row) for row in item.rows],
        "failed": item.failed,
    }


def _full(row: TableRow) -> dict[str, Any]:
    scores = {
        name: {
            "mean": _rounded(score.students.mean),
            "std": _rounded(score.students.std),
            "students": score.students.count,
            "std_over_sets": _rounded(score.sets.std),
            "std_within_sets": _rounded(score.within),
        }
        for name, score in row.scores.items()
    }
    per_set = [[_rounded(value) for value in scores_of_students(one, "accuracy")] for one in row.evaluations]
    return {
        "name": row.name,
        "method": row.method,
        "control": row.control,
        "labels": row.labels,
        "factor": row.factor,
        "storage_bytes": row.storage,
        "stored_numbers": row.stored_numbers,
        "ipc_equivalent": row.ipc_equivalent,
        "parameterization": row.parameterization,
        "distilled_under": row.augment,
        "protocol": row.student_protocol.described(),
        "scores": scores,
        "accuracy_per_set": per_set,
        "share_of_gap_closed": row.share,
        "seconds": row.seconds,
        "peak_memory_bytes": row.peak_memory,
        "sets": [_of_set(one) for one in row.sets],
        "evaluations": [evaluation.as_dict() for evaluation in row.evaluations],
    }


def _of_set(one: Measurement) -> dict[str, Any]:
    labelled = {"labelled_by": one.labelled_by} if one.labelled_by else {}
    return (
        one.told(("seed", "images_sha256", "config", "source"))
        | labelled
        | {
            "file": str(one.file) if one.file else None,
            "run": str(one.config.get("run", "")),
            "record": asdict(one.making) if one.making else None,
        }
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 4)
