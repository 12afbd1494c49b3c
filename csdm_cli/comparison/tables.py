"""The result of a comparison: rows of scores over sets and students, as a table, CSV and JSON."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import RenderableType

from csdm_cli.comparison.entries import StudentProtocol
from csdm_cli.comparison.trials import Trial
from csdm_cli.data.store import LongTail
from csdm_cli.display.tables import figures_table
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.evaluation.scores import OverSets, summarise_sets
from csdm_cli.runs.judge import described_protocol
from csdm_cli.runs.provenance import facts_of
from csdm_cli.safe_text import markup

SCORES = ("accuracy", "head", "medium", "tail", "worst_class", "best_on_test")
SHOWN = ("head", "medium", "tail")


@dataclass(frozen=True)
class TableRow:
    """One line of a table.

    Attributes:
        name: what students were trained on.
        method: its name; None for the full set.
        control: whether it stands in every table.
        student_protocol: how students were taught.
        evaluations: one per set that differs from the others, or one alone for the full set.
        trials: the sets; empty for the full set.
        labels, factor, storage, augment: of the sets; ``augment`` is what they were distilled under, if anything.
        share: of the gap between random images and the best full-data control of the same protocol.
    """

    name: str
    method: str | None
    control: bool
    student_protocol: StudentProtocol
    evaluations: tuple[Evaluation, ...]
    trials: tuple[Trial, ...]
    labels: str
    factor: int
    storage: int
    augment: str | None
    share: float | None = None

    @property
    def scores(self) -> dict[str, OverSets]:
        """Over all students of all sets; a group of classes that is empty is left out."""
        found = {}
        for name in SCORES:
            values = [_of_students(evaluation, name) for evaluation in self.evaluations]
            known = [[value for value in part if value is not None] for part in values]
            if all(known):
                found[name] = summarise_sets(known)
        return found

    @property
    def accuracy(self) -> OverSets:
        """The headline: accuracy after the last step."""
        return self.scores["accuracy"]

    @property
    def seconds(self) -> float | None:
        """Mean time of distilling a set, where it is known."""
        known = [trial.seconds for trial in self.trials if trial.seconds is not None]
        return statistics.fmean(known) if known else None

    @property
    def peak_memory(self) -> int | None:
        """Of distilling, in bytes: the highest of the sets."""
        return max((trial.record.peak_memory_bytes for trial in self.trials if trial.record), default=None)


@dataclass(frozen=True)
class Table:
    """A table: one long-tailed set and one number of images per class.

    Attributes:
        failed: what went wrong, by row name.
    """

    longtail: LongTail
    ipc: int
    split: str
    rows: tuple[TableRow, ...]
    failed: dict[str, str]

    @property
    def name(self) -> str:
        """As a key, e.g. ``cifar10-lt200-ipc10``."""
        return f"{self.longtail.folder.name}-ipc{self.ipc}"

    @property
    def title(self) -> str:
        """In words."""
        manifest = self.longtail.manifest
        return f"{manifest.dataset}, β {manifest.imbalance:g}, IPC {self.ipc}, students tested on the {self.split} set"


def table(standing: Table) -> list[RenderableType]:
    """What rows score, and what they take."""
    scores = figures_table("trained on", ["accuracy", *SHOWN, "worst class", "gap", "n"])
    costs = figures_table("trained on", ["time", "memory", "storage", "labels", "factor"])
    for row in standing.rows:
        found, style = row.scores, "dim" if row.control else None
        plain = [_percent(found[name].students.mean) if name in found else "–" for name in SHOWN]
        share = "–" if row.share is None else f"{row.share:.2f}"
        count = f"{len(row.evaluations) if row.trials else '–'} × {len(row.evaluations[0].students)}"
        cells = [str(found["accuracy"].students), *plain, str(found["worst_class"].students), share, count]
        scores.add_row(row.name, *cells, style=style)
        cells = [_seconds(row.seconds), _size(row.peak_memory), _size(row.storage), row.labels, str(row.factor)]
        costs.add_row(row.name, *cells, style=style)
    failed = [f"[red]{markup(name)}: {markup(text)}[/]" for name, text in standing.failed.items()]
    return [f"[bold]{markup(standing.title)}[/]", scores, "", costs, f"[dim]{_caption(standing)}[/]", *failed]


def _caption(standing: Table) -> str:
    lines = [
        "Accuracy in % after the last step: mean ± std over all students of all sets.",
        "gap: share closed of the gap between random images and the best full-data row.",
        "n: sets × students of each; equal sets count once.",
        "time: of distilling one set, without its teachers; memory: of the process then.",
        "storage: images and labels as stored. factor²: training images in each of them.",
    ]
    for number, student_protocol in enumerate(dict.fromkeys(row.student_protocol for row in standing.rows), 1):
        owner = "Students" if number == 1 else "Others"
        protocol, spec = student_protocol.protocol, student_protocol.spec
        recipe = protocol.recipe
        lines.append(
            f"{owner}: {spec.name} of width {spec.width}, {protocol.steps} steps of {recipe.optimizer},"
            f" lr {recipe.lr:g},\n  cutmix {recipe.cutmix:g}, augmentation {recipe.augment} ({recipe.augment_mode})."
        )
    augmentations = sorted({row.augment for row in standing.rows if row.augment})
    if augmentations:
        lines.append(f"Distilled under: {'; '.join(augmentations)}.")
    return "\n".join(lines)


def as_csv(standings: Sequence[Table]) -> str:
    """One line per row of all tables; accuracies in percent."""
    lines = [_flat(standing, row) for standing in standings for row in standing.rows]
    names = list(dict.fromkeys(name for line in lines for name in line))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return buffer.getvalue()


def _flat(standing: Table, row: TableRow) -> dict[str, Any]:
    manifest, recipe = standing.longtail.manifest, row.student_protocol.protocol.recipe
    line: dict[str, Any] = {
        "dataset": manifest.dataset,
        "imbalance": manifest.imbalance,
        "ipc": standing.ipc,
        "row": row.name,
        "control": row.control,
        "sets": len(row.evaluations) if row.trials else None,
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
        "labels": row.labels,
        "factor": row.factor,
        "distilled_under": row.augment,
        "students_augment": recipe.augment,
        "students_steps": row.student_protocol.protocol.steps,
        "network": f"{row.student_protocol.spec.name}-{row.student_protocol.spec.width}",
        "split": standing.split,
        "train_fingerprint": manifest.fingerprints["train"],
    }


def scores_only(standing: Table) -> dict[str, Any]:
    """What does not differ between identical runs, in percent: by row and score."""
    return {
        row.name: {
            name: {
                "mean": _rounded(score.students.mean),
                "std": _rounded(score.students.std),
                "students": score.students.count,
            }
            for name, score in row.scores.items()
        }
        | {"share_of_gap_closed": row.share}
        for row in standing.rows
    }


def accuracies(standing: Table) -> dict[str, float]:
    """Of every row, in percent."""
    return {row.name: round(100 * row.accuracy.students.mean, 4) for row in standing.rows}


def as_json(standing: Table) -> dict[str, Any]:
    """Everything: each set's settings, seed, record and students, besides the scores in percent."""
    return {
        "data": facts_of(standing.longtail.manifest),
        "ipc": standing.ipc,
        "tested_on": standing.split,
        "rows": [_full(row) for row in standing.rows],
        "failed": standing.failed,
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
    per_set = [[_rounded(value) for value in _of_students(item, "accuracy")] for item in row.evaluations]
    return {
        "name": row.name,
        "method": row.method,
        "control": row.control,
        "labels": row.labels,
        "factor": row.factor,
        "storage_bytes": row.storage,
        "distilled_under": row.augment,
        "protocol": described_protocol(
            row.student_protocol.protocol, row.student_protocol.spec, row.student_protocol.numerics
        ),
        "scores": scores,
        "accuracy_per_set": per_set,
        "share_of_gap_closed": row.share,
        "seconds": row.seconds,
        "peak_memory_bytes": row.peak_memory,
        "sets": [_of_trial(trial) for trial in row.trials],
        "evaluations": [evaluation.as_dict() for evaluation in row.evaluations],
    }


def _of_trial(trial: Trial) -> dict[str, Any]:
    return {
        "seed": trial.seed,
        "file": str(trial.file),
        "run": trial.run,
        "images_sha256": trial.images,
        "config": trial.config,
        "source": trial.source,
        "record": asdict(trial.record) if trial.record else None,
    }


def _of_students(evaluation: Evaluation, name: str) -> list[float | None]:
    if name == "best_on_test":
        return [student.best_on_test for student in evaluation.students]
    return [getattr(score, name) for score in evaluation.scores]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 4)


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.{0 if value >= 10 else 1}f} s"


def _size(value: int | None) -> str:
    if value is None:
        return "–"
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value} B"
