"""The content of the page of ``csdm report --html``, read from the files that other commands left."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from csdm_cli.artifacts.distilled import Coded, Distilled
from csdm_cli.artifacts.evaluation_rows import (
    GROUPS,
    architecture_rows,
    evaluation_rows,
    gap_closed,
    gap_text,
    split_of,
    students_text,
)
from csdm_cli.artifacts.file import FILE_NAME, load_distilled
from csdm_cli.artifacts.run_record import read_sidecar
from csdm_cli.artifacts.stored_evaluation import StoredEvaluation, is_of_a_replaced_set, read_evaluation
from csdm_cli.display.console import note
from csdm_cli.display.png import png
from csdm_cli.display.report_page import (
    Bar,
    Chart,
    ClassShown,
    Confusion,
    Curves,
    Facts,
    Gallery,
    Line,
    Page,
    Picture,
    Table,
)
from csdm_cli.display.scores import score_text
from csdm_cli.errors import CsdmError
from csdm_cli.evaluation.scores import MeanStd, half_width
from csdm_cli.images.initial import to_uint8
from csdm_cli.names import EvaluationSplit
from csdm_cli.report.commands import commands_of
from csdm_cli.report.facts import cost_of, provenance_of
from csdm_cli.report.sheets import titled
from csdm_cli.runs.evaluating import without_tests
from csdm_cli.runs.whole_run import whole_seconds
from csdm_cli.storage.bounded import parsed_json

NEAR = ("distilled", "evaluate", "cross_arch", "compare")  # folders within a run's folder that belong to it
MOST_PICTURES = 1000  # of a set on a page
MOST_CONFUSED = 100  # classes of a confusion matrix


@dataclass(frozen=True)
class Found:
    """The results in the named files and folders.

    Attributes:
        sets: distilled sets by file.
        evaluations: by folder.
        others: metrics of cross-arch and compare by folder.
        losses: curves of the loss, as numbers where they were kept, else as pictures.
    """

    sets: dict[Path, Distilled]
    evaluations: dict[Path, StoredEvaluation]
    others: dict[Path, dict[str, Any]]
    losses: tuple[Curves | Picture, ...]

    def set_of(self, evaluation: StoredEvaluation) -> tuple[Path, Distilled] | None:
        """The set that an evaluation measured, if it is here."""
        return next(((file, one) for file, one in self.sets.items() if evaluation.belongs_to(one)), None)


def gather(paths: Sequence[Path]) -> Found:
    """Read distilled sets and results in ``paths`` and in the folders within them that commands write to.

    A folder of results alone brings the set that it measured, where that lies beside it.

    Raises:
        CsdmError: if a path is missing, a file is damaged, or nothing is there.
    """
    if missing := [path for path in paths if not path.exists()]:
        raise CsdmError(f"there is no file or folder {missing[0]}")
    folders = [place for path in paths for place in _places(path)]
    for folder in list(filter(is_of_a_replaced_set, folders)):
        note(f"warning: {folder} has the results of another set than lies beside it now: left out")
        folders.remove(folder)
    files = [path for path in paths if path.is_file()] + [folder / FILE_NAME for folder in folders]
    evaluations = {folder: found for folder in folders if (found := read_evaluation(folder)) is not None}
    sets = {file: load_distilled(file) for file in dict.fromkeys(files) if file.is_file()}
    for folder, found in evaluations.items():
        if not any(found.belongs_to(one) for one in sets.values()):
            sets |= _evaluated_set(folder, found)
    others = {folder: metrics for folder in folders if folder not in evaluations and (metrics := _metrics(folder))}
    if not (sets or evaluations or others):
        raise CsdmError(f"no results in {', '.join(map(str, paths))}: name what distill, evaluate or cross-arch wrote")
    losses = tuple(curve for file in sets if (curve := _loss(file.parent)) is not None)
    return Found(sets, evaluations, others, losses)


def page_of(found: Found) -> Page:
    """Everything found, in the words and numbers of the page."""
    evaluations = list(found.evaluations.items())
    confusions = [_confusion(folder, one, len(evaluations) > 1) for folder, one in evaluations]
    return Page(
        title=_title(found),
        headline=tuple(_headline(found)),
        galleries=tuple(_gallery(file, one, found) for file, one in found.sets.items()),
        accuracy=tuple(part for folder, one in evaluations for part in _accuracy(folder, one, len(evaluations) > 1)),
        classes=tuple(_per_class(folder, one, found, len(evaluations) > 1) for folder, one in evaluations),
        confusions=tuple(matrix for matrix in confusions if matrix is not None),
        others=tuple(chart for folder, metrics in found.others.items() for chart in _elsewhere(folder, metrics)),
        losses=found.losses,
        facts=tuple(_facts(found)),
        commands=tuple(commands_of(found.sets, found.evaluations)),
    )


def _places(path: Path) -> list[Path]:
    """The folders to look into for a named file or folder, each once, in the order of the page."""
    start = path.parent if path.is_file() else path
    within = [start / name for name in NEAR] + [start / "distilled" / name for name in NEAR[1:]]
    return [start, *(folder for folder in within if folder.is_dir())]


def _evaluated_set(folder: Path, evaluation: StoredEvaluation) -> dict[Path, Distilled]:
    """The set that ``stored_evaluation`` speaks of, from the folders where it may lie."""
    for file in (folder.parent / FILE_NAME, folder.parent / "distilled" / FILE_NAME):
        if file.is_file() and evaluation.belongs_to(one := load_distilled(file)):
            return {file: one}
    return {}


def _metrics(folder: Path) -> dict[str, Any] | None:
    """The scores that cross-arch or compare wrote to ``folder``: rows, or tables of rows."""
    place = folder / "metrics.json"
    if not place.is_file():
        return None
    try:
        found = parsed_json(place.read_bytes())
        for scores in found.values():
            across = [row.scores for row in architecture_rows("", scores)] if "accuracy" in scores else None
            for row in across or scores.values():
                row["accuracy"]["mean"]  # what charts are made of
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CsdmError(f"{place} is damaged: run the command that wrote it again") from error
    return dict(found)


def _loss(folder: Path) -> Curves | Picture | None:
    """The loss of the distillation that wrote to ``folder``."""
    table, picture, title = folder / "loss.csv", folder / "loss.png", f"Loss of {titled(folder)}"
    if table.is_file():
        try:
            rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
            names = [name for name in rows[0] if name != "step"]
            return Curves(title, tuple(Line(name, tuple(float(row[name]) for row in rows)) for name in names))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise CsdmError(f"{table} is damaged: delete it, or distil again") from error
    return Picture(picture.read_bytes(), title) if picture.is_file() else None


def _title(found: Found) -> str:
    names = [f"{one.dataset.name} by {one.provenance.method}, {one.per_class_text}" for one in found.sets.values()]
    return "; ".join(dict.fromkeys(names)) or "Results"


def _headline(found: Found) -> Iterable[tuple[str, str]]:
    if found.evaluations:
        metrics = next(iter(found.evaluations.values())).metrics
        accuracy = _bar("", metrics["accuracy"])
        yield f"{accuracy.text} %", f"accuracy on the {split_of(metrics)} set"
        if "tail" in metrics:
            yield f"{_bar('', metrics['tail']).mean:.1f} %", "accuracy of tail classes"
        if (share := gap_closed(metrics)) is not None:
            yield f"{share:.2f}", "of the gap from random images to all images closed"
    for file, one in list(found.sets.items())[:1]:
        stored = "images decoded" if isinstance(one.decoding, Coded) else "stored images"
        yield f"{len(one.labels):,}", f"{stored} instead of {sum(one.dataset.counts):,}"
        origin = one.provenance
        if (seconds := whole_seconds(read_sidecar(file), origin.method, origin.config)) is not None:
            yield _duration(seconds), "to distil, without teachers"


def _gallery(file: Path, distilled: Distilled, found: Found) -> Gallery:
    """Classes from head to tail, each with as many of its stored images as the page has room for."""
    data, counts = distilled.dataset, distilled.counts
    starts = [0, *np.cumsum(counts).tolist()]
    images = to_uint8(distilled.unit_images())
    each = max(1, MOST_PICTURES // data.classes)
    classes = []
    for room, label in enumerate(_head_to_tail(data.counts)):
        rows = range(starts[label], min(starts[label + 1], starts[label] + each)) if room < MOST_PICTURES else ()
        shown = tuple(
            Picture(
                png(images[row]),
                f"{data.class_names[label]}, image {row - starts[label] + 1} of {counts[label]}",
                images.shape[-1],
            )
            for row in rows
        )
        classes.append(ClassShown(data.class_names[label], data.counts[label], counts[label], shown))
    notes = []
    if distilled.decoding.factor > 1:
        notes.append(f"Every stored image holds {distilled.decoding.per_image} training images.")
    if isinstance(distilled.decoding, Coded):
        made_of = distilled.decoding.made_of
        notes.append(f"Decoded from {made_of} in the storage of {distilled.per_class_text}.")
    if max(counts) > each:
        notes.append(f"The first {each} images of each class are shown.")
    if distilled.empty_classes:
        notes.append(f"The set has no image of {', '.join(distilled.empty_classes)}.")
    return Gallery(f"{data.name} by {distilled.provenance.method}: {file}", tuple(classes), tuple(notes))


def _accuracy(folder: Path, evaluation: StoredEvaluation, several: bool) -> list[Chart | Table]:
    metrics, rows = evaluation.metrics, evaluation_rows(evaluation.metrics)
    bars = tuple(_bar(row.name, row.scores["accuracy"], own=not row.control) for row in rows)
    caption = (
        f"In % of the {split_of(metrics)} images, with the 95 % interval of the mean over"
        f" {students_text(evaluation.details['protocol'])}. {gap_text(metrics)}"
    ).rstrip()
    cells = [(row.name, *(score_text(row.scores.get(key)) for key in GROUPS)) for row in rows]
    place = f": {titled(folder)}" if several else ""
    return [
        Chart(f"The set beside its controls{place}", bars, caption),
        Table(
            "Head, medium and tail classes",
            ("trained on", *GROUPS.values()),
            tuple(cells),
            "Mean ± standard deviation over students, in %. Head and tail: the 30 % of classes with most and fewest.",
        ),
    ]


def _per_class(folder: Path, evaluation: StoredEvaluation, found: Found, several: bool) -> Chart:
    row = evaluation.own
    names, known = evaluation.details["class_names"], found.set_of(evaluation)
    counts = (evaluation.details.get("measured") or {}).get("data", {}).get("counts")
    if counts is None:
        counts = known[1].dataset.counts if known else [0] * len(names)
    bars, untested = [], []
    for label in _head_to_tail(counts):
        score = row["per_class"][label]
        if score is None:
            untested.append(names[label])
            continue
        summary = MeanStd(100 * score["mean"], score["std"] and 100 * score["std"], score["count"])
        bars.append(Bar(f"{names[label]} ({counts[label]:,})", summary.mean, half_width(summary), own=True))
    place = f": {titled(folder)}" if several else ""
    return Chart(
        f"Accuracy of each class, head to tail{place}",
        tuple(bars),
        f"In %; in brackets: real training images of the class. {without_tests(untested)}".rstrip(),
    )


def _confusion(folder: Path, evaluation: StoredEvaluation, several: bool) -> Confusion | None:
    names = evaluation.details["class_names"]
    if len(names) > MOST_CONFUSED:
        return None
    counts = evaluation.own["confusion"]
    shares = tuple(tuple(count / max(1, sum(row)) for count in row) for row in counts)
    title = f"What students take for what{f': {titled(folder)}' if several else ''}"
    return Confusion(title, tuple(names), shares)


def _elsewhere(folder: Path, metrics: Mapping[str, Any]) -> list[Chart]:
    """The charts: one of cross-arch, one for each table of compare."""
    if all("accuracy" in row for row in metrics.values()):
        bars: list[Bar] = []
        for name, scores in metrics.items():
            rows = architecture_rows(name, scores, ("this set", "random images"))
            bars += [_bar(row.name, row.scores["accuracy"], own=not row.control) for row in rows]
        return [Chart(f"Other architectures: {titled(folder)}", tuple(bars), _intervals(metrics))]
    charts = []
    for table, compared in metrics.items():
        ranked = sorted(compared.items(), key=lambda pair: -pair[1]["accuracy"]["mean"])
        control = ("random", "tiled-random", "start", "full")
        found = [_bar(name, row["accuracy"], own=not name.startswith(control)) for name, row in ranked]
        charts.append(Chart(f"Methods side by side: {table}", tuple(found), _intervals(compared)))
    return charts


def _intervals(rows: Mapping[str, Any]) -> str:
    """The caption of a chart of ``rows``, which were all tested on the same images."""
    split = next(map(split_of, rows.values()), EvaluationSplit.test)
    return f"In % of the {split} images, with the 95 % interval of the mean over all students; controls are grey."


def _facts(found: Found) -> Iterable[Facts]:
    for file, one in found.sets.items():
        place = f": {file}" if len(found.sets) > 1 else ""
        beside = [folder for folder, own in found.evaluations.items() if own.belongs_to(one)]
        yield Facts(f"Cost{place}", cost_of(file, one, beside))
        yield Facts(f"Provenance{place}", provenance_of(file, one))


def _bar(name: str, score: Mapping[str, Any], *, own: bool = False) -> Bar:
    summary = MeanStd(score["mean"], score.get("std"), score.get("students") or 1)
    return Bar(name, summary.mean, half_width(summary), own)


def _head_to_tail(counts: Sequence[int]) -> list[int]:
    return sorted(range(len(counts)), key=lambda label: (-counts[label], label))


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
