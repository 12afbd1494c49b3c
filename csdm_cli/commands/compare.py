"""``csdm compare``: several methods side by side, under one protocol and beside the controls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from csdm_cli import __version__
from csdm_cli.artifacts.run_record import record_run
from csdm_cli.comparison import tables
from csdm_cli.comparison.entries import (
    CONTROLS,
    Entry,
    StudentProtocol,
    controls_for,
    enter,
    named_for,
    refuse_unread,
    student_protocol_of,
)
from csdm_cli.comparison.finished import Finished, finished_row, read_finished
from csdm_cli.comparison.tables import Table, TableRow
from csdm_cli.comparison.trials import Trial, TrialContext, known_sets, try_out
from csdm_cli.comparison.tuning import Point, chosen, grid, refuse_to_tune_on_test
from csdm_cli.data.store import LongTail, newest_longtail, open_longtail
from csdm_cli.display import pictures
from csdm_cli.display.console import emit, note
from csdm_cli.errors import CsdmError, UsageError, in_words
from csdm_cli.evaluation.controls import ControlName, evaluate_full
from csdm_cli.evaluation.scores import share_of_gap_closed
from csdm_cli.methods.contract import OptimisedMethod
from csdm_cli.networks.numerics import Numerics
from csdm_cli.runs.distill import ARTIFACTS, CHECKPOINT_SECONDS, Options
from csdm_cli.runs.judge import images_of
from csdm_cli.runs.long_tail import find_or_make
from csdm_cli.runs.runtime import Runtime
from csdm_cli.settings import sections
from csdm_cli.settings.resolve import with_values
from csdm_cli.storage import kinds, outputs
from csdm_cli.storage.keys import source_hash
from csdm_cli.tracking.tracker import Tracker, open_tracker

METHODS_OWN = ("lr", "calibration", "teacher_schedule", "labels")  # what a preset or the method decides
OUTPUTS = {
    "accuracy.png": kinds.PNG,
    "compare.csv": kinds.containing("dataset,imbalance,ipc,row,control,sets,students,"),
    "metrics.json": kinds.METRICS,
    "summary.json": kinds.SUMMARY,
    "compare.json": kinds.json_with("settings", "source", "finished", "machine", "tables"),
}
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class ComparisonContext:
    """What all tables of a comparison share.

    Attributes:
        numerics: of the students.
        points: the settings that each method is tried with.
        finished: sets named one by one.
    """

    settings: sections.Compare
    params: sections.Params
    runtime: Runtime
    device: torch.device
    numerics: Numerics
    teachers: Path | None
    options: Options
    known: dict[str, Path]
    parent: str | None
    points: tuple[Point, ...] = (Point(),)
    finished: tuple[Finished, ...] = ()


def run(
    settings: sections.Compare,
    runtime: Runtime,
    *,
    params: sections.Params,
    data: Path | None,
    teachers: Path | None,
    out: Path | None,
    memory_budget: int | None,
    finished: Sequence[Path] = (),
) -> None:
    """Make what is missing, print a table for each long-tailed set and IPC, and write them to ``out``.

    Raises:
        CsdmError: after all the rest is done, if a method failed.
    """
    refuse_unread(params, settings)
    refuse_to_tune_on_test(settings, params)
    points = grid(settings.tune)
    if data and (settings.imbalance or settings.dataset):
        raise UsageError("--data names a set as it is: leave --imbalance and --dataset out")
    named = tuple(read_finished(finished, settings.ipc))
    device, folder = runtime.apply(), out or ARTIFACTS / "compare"
    numerics = runtime.student_numerics(device)
    outputs.claim_files(folder, OUTPUTS)
    if pinned := [f"distill.{name}" for name in METHODS_OWN if name in params.distill.model_fields_set]:
        note(f"the same for all methods, whatever their own choice: {', '.join(pinned)}", quiet=runtime.quiet)
    options = Options(memory_budget and memory_budget * 2**20, CHECKPOINT_SECONDS, resume=True)
    described = {"compare": settings.model_dump(mode="json")}
    ipcs = ",".join(map(str, settings.ipc))
    name = f"compare {','.join(settings.methods)} ipc{ipcs} {settings.seeds} seeds"
    with open_tracker(runtime.tracking, "compare", params=described, name=name, quiet=runtime.quiet) as tracker:
        shared = (settings, params, runtime, device, numerics, teachers, options)
        contest = ComparisonContext(*shared, known_sets(), tracker.run_id, tuple(points), named)
        try:
            found = [
                _standing(longtail, ipc, contest)
                for longtail in _longtails(settings, params, data, runtime)
                for ipc in settings.ipc
            ]
        except (KeyboardInterrupt, SystemExit):
            note("what is finished is kept: the same command goes on from there", quiet=runtime.quiet)
            raise
        result = _result(found, settings, device)
        if settings.tune:
            result["tuning"] = {item.name: chosen(item, _tuned(settings), points) for item in found}
        _write(folder, found, result, tracker)
    emit(result, lambda: [part for item in found for part in (*tables.table(item), "")], as_json=runtime.json)
    note(f"wrote {folder}/", quiet=runtime.quiet)
    failed = [f"{name} ({text})" for item in found for name, text in item.failed.items()]
    if failed:
        raise CsdmError(f"{len(failed)} of the rows failed: {'; '.join(failed)}")


def _longtails(
    settings: sections.Compare, params: sections.Params, data: Path | None, runtime: Runtime
) -> list[LongTail]:
    """The sets named, made if they are described and missing; else the newest.

    Raises:
        UsageError: if the description contradicts the other settings of make_lt.
    """
    if data:
        return [open_longtail(data)]
    if not settings.imbalance and not settings.dataset:
        return [newest_longtail()]
    dataset = {"dataset": settings.dataset} if settings.dataset else {}
    wanted = [dataset | {"imbalance": value} for value in settings.imbalance or [params.make_lt.imbalance]]
    found = [with_values(params, {"make_lt": values}, "--dataset, --imbalance").make_lt for values in wanted]
    return [find_or_make(make_lt, quiet=runtime.quiet) for make_lt in found]


def _standing(longtail: LongTail, ipc: int, contest: ComparisonContext) -> Table:
    settings, params = contest.settings, contest.params
    failed: dict[str, str] = {}
    split = settings.split or params.evaluate.split
    test = images_of(longtail, split).to(contest.device)
    arena = TrialContext(
        longtail, test, contest.teachers, contest.runtime, contest.options, contest.known, contest.parent, split
    )
    entries = []
    for method in settings.methods:
        if method not in CONTROLS:
            for point in contest.points:
                entry = _guarded(point.named(method), failed, partial(_entry, method, point, ipc, arena, contest))
                entries += [entry] if entry else []
    rows, controls = [], []
    for entry in entries:
        rows += _rows(entry, arena, settings.seeds, failed)
    student_protocols = list(dict.fromkeys(entry.student_protocol for entry in entries)) or [
        _student_protocol(params, longtail, contest)
    ]
    for one in contest.finished:
        if max(one.distilled.ipc) == ipc:
            row = _guarded(one.name, failed, partial(finished_row, one, arena, student_protocols[0]))
            rows += [row] if row else []
    for student_protocol in student_protocols:
        own = [entry for entry in entries if entry.student_protocol == student_protocol]
        beside = controls_for(own, ipc, settings, params, student_protocol)
        suffix = f", as {own[0].name}" if len(student_protocols) > 1 else ""
        for entry in named_for(beside, suffix):
            controls += _rows(entry, arena, settings.seeds, failed)
        controls += _full_rows(arena, student_protocol, suffix, failed)
    return Table(longtail, ipc, str(split), tuple(_with_shares([*rows, *controls])), failed)


def _tuned(settings: sections.Compare) -> list[str]:
    """The methods but for controls, which have nothing to tune."""
    return [method for method in settings.methods if method not in CONTROLS]


def _entry(method: str, point: Point, ipc: int, arena: TrialContext, contest: ComparisonContext) -> Entry:
    own = enter(method, ipc, contest.settings, point.on(contest.params))
    return Entry(point.named(method), own, _student_protocol(own.params, arena.longtail, contest), control=False)


def _student_protocol(params: sections.Params, longtail: LongTail, contest: ComparisonContext) -> StudentProtocol:
    return student_protocol_of(params, longtail, contest.teachers, contest.numerics)


def _rows(entry: Entry, arena: TrialContext, seeds: int, failed: dict[str, str]) -> list[TableRow]:
    """The entry's row, once all its sets are made and judged; none if one of them failed."""
    trials: list[Trial] = []
    for seed in range(seeds):
        note(f"{entry.name}: set {seed + 1} of {seeds}", quiet=arena.runtime.quiet)
        trial = _guarded(entry.name, failed, partial(try_out, entry, seed, arena))
        if trial is None:
            return []
        trials.append(trial)
    optimised = isinstance(entry.chosen.method, OptimisedMethod)
    return [
        TableRow(
            name=entry.name,
            method=entry.chosen.settings.method,
            control=entry.control,
            student_protocol=entry.student_protocol,
            evaluations=tuple({trial.evaluation.key: trial.evaluation for trial in trials}.values()),
            trials=tuple(trials),
            labels=str(trials[0].labels),
            factor=trials[0].factor,
            storage=trials[0].storage,
            augment=entry.chosen.settings.augment if optimised else None,
        )
    ]


def _full_rows(
    arena: TrialContext, student_protocol: StudentProtocol, suffix: str, failed: dict[str, str]
) -> list[TableRow]:
    """The full long-tailed set: it has no seed, only students."""
    train = arena.longtail.train().to(arena.test.images.device)
    found = _guarded("full" + suffix, failed, partial(evaluate_full, train, arena.examiner(student_protocol)))
    storage = train.images.nbytes + train.labels.nbytes
    return [
        TableRow(f"{name}{suffix}", None, True, student_protocol, (evaluation,), (), "hard", 1, storage, None)
        for name, evaluation in (found or {}).items()
    ]


def _with_shares(rows: Sequence[TableRow]) -> list[TableRow]:
    """Every row with its share of the gap between the controls of its own protocol."""
    done = []
    for row in rows:
        beside = [other for other in rows if other.control and other.student_protocol == row.student_protocol]
        random = [other.accuracy.students.mean for other in beside if other.method == ControlName.random]
        full = [other.accuracy.students.mean for other in beside if other.method is None]
        share = None
        if random and full:
            share = share_of_gap_closed(row.accuracy.students.mean, random[0], max(full))
        done.append(replace(row, share=share))
    return done


def _guarded(name: str, failed: dict[str, str], work: Callable[[], ResultT]) -> ResultT | None:
    """The result of ``work``; what a user can act on is noted under ``name``, and the others go on."""
    try:
        return work()
    except (CsdmError, OSError, MemoryError, RuntimeError) as error:
        text = str(error) if isinstance(error, CsdmError) else in_words(error, ("--memory-budget", "--ipc"))
        if text is None:
            raise
        failed[name] = text
        note(f"{name} failed: {text}")
        return None


def _result(found: Sequence[Table], settings: sections.Compare, device: torch.device) -> dict[str, Any]:
    record = record_run(0.0, device)
    code = record.code
    return {
        "settings": settings.model_dump(mode="json"),
        "commit": code.commit if code else None,
        "dirty": code.dirty if code else None,
        "source": source_hash(),
        "finished": record.finished,
        "device": device.type,
        "machine": vars(record.machine),
        "versions": {"csdm": __version__, "torch": str(torch.__version__)},
        "tables": {item.name: tables.as_json(item) for item in found},
    }


def _write(folder: Path, found: Sequence[Table], result: dict[str, Any], tracker: Tracker) -> None:
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
        outputs.write_text(folder / "compare.csv", tables.as_csv(found), OUTPUTS["compare.csv"])
        for name in ("accuracy.png", "compare.csv"):
            tracker.artifact(folder / name)
    scores = {item.name: tables.scores_only(item) for item in found}
    accuracies = {item.name: tables.accuracies(item) for item in found}
    outputs.write_json(folder / "metrics.json", scores, OUTPUTS["metrics.json"])
    outputs.write_json(folder / "compare.json", result, OUTPUTS["compare.json"])
    outputs.write_json(folder / "summary.json", {"accuracy_percent": accuracies}, OUTPUTS["summary.json"])
    for item in found:
        tracker.headline({f"accuracy/{item.name}/{row}": value for row, value in accuracies[item.name].items()})
    for name in ("metrics.json", "compare.json"):
        tracker.artifact(folder / name)
