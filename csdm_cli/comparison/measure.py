"""The tables of a comparison, measured: what is missing is made, a method that fails is named and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from csdm_cli.comparison.context import ComparisonContext
from csdm_cli.comparison.entries import CONTROLS, Entry, StudentProtocol, controls_for, enter, named_for
from csdm_cli.comparison.executors import Cell, Executor
from csdm_cli.comparison.finished import Finished, evaluate_controls, evaluate_finished
from csdm_cli.comparison.tables import Table, TableRow
from csdm_cli.comparison.trials import known_sets, make, teach, teachers_of, try_out
from csdm_cli.comparison.tuning import Point
from csdm_cli.data.store import LongTail
from csdm_cli.display.console import note
from csdm_cli.errors import CsdmError, in_words
from csdm_cli.evaluation.controls import ControlName, evaluate_full
from csdm_cli.evaluation.scores import share_of_gap_closed
from csdm_cli.methods.contract import OptimisedMethod
from csdm_cli.names import LabelKind
from csdm_cli.runs.long_tail import find_or_make, given_or_newest
from csdm_cli.runs.measurement import Measurement
from csdm_cli.runs.optimise import Options
from csdm_cli.runs.provenance import facts_of
from csdm_cli.runs.runtime import Runtime
from csdm_cli.settings import sections
from csdm_cli.settings.resolve import with_values

ResultT = TypeVar("ResultT")


def measure(
    settings: sections.Compare,
    params: sections.Params,
    runtime: Runtime,
    executor: Executor,
    *,
    data: Path | None,
    teachers: Path | None,
    options: Options,
    points: Sequence[Point] = (Point(),),
    finished: Sequence[Finished] = (),
    parent: str | None = None,
) -> list[Table]:
    """One table for each long-tailed set and number of images per class.

    Args:
        settings: the comparison's own settings.
        params: all other settings.
        runtime: output of this process.
        executor: where cells are computed, and how.
        data: folder of a long-tailed set, or of images to make one of; None makes those that ``settings`` describe, or
            takes the newest.
        teachers: folder of the pool; None takes it from the cache, or trains it.
        options: how distillation runs, which changes no result.
        points: the settings that each method is tried with.
        finished: sets named one by one, which stand beside.
        parent: the comparison's own tracked run.

    Raises:
        UsageError: if the description of a set contradicts the other settings of make_lt.
        CsdmError: if data cannot be had; the failure of a method stands in its table instead.
    """
    own = executor.runtime
    numerics, known = own.student_numerics(executor.device), known_sets()
    planned = []
    for longtail in _longtails(settings, params, data, runtime):
        shared = (settings, params, own, options, numerics, teachers, known, parent)
        context = ComparisonContext(*shared, longtail, executor.device)
        _ = context.test  # before anything is made: without it nothing can be judged
        planned += [_plan(ipc, context, points, finished, executor) for ipc in settings.ipc]
    return [one.table() for one in planned]


def _longtails(
    settings: sections.Compare, params: sections.Params, data: Path | None, runtime: Runtime
) -> list[LongTail]:
    """The sets named, made if they are described and missing; else the newest."""
    if data or not (settings.imbalance or settings.dataset):
        return [given_or_newest(data, quiet=runtime.quiet)]
    dataset: dict[str, Any] = {"dataset": settings.dataset} if settings.dataset else {}
    wanted = [dataset | {"imbalance": value} for value in settings.imbalance or ()] or [dataset]
    found = [with_values(params, {"make_lt": values}, "--dataset, --imbalance").make_lt for values in wanted]
    return [find_or_make(make_lt, quiet=runtime.quiet) for make_lt in found]


@dataclass(frozen=True)
class _Planned:
    """A table whose cells are handed in.

    Attributes:
        rows: each waits for cells, and gives the rows that are made of them.
        failed: errors in words, by row name.
    """

    ipc: int
    context: ComparisonContext
    rows: tuple[Callable[[], list[TableRow]], ...]
    failed: dict[str, str]

    def table(self) -> Table:
        """The rows, once all cells are done."""
        rows = [row for waits in self.rows for row in waits()]
        split = str(self.context.split)
        return Table(self.context.longtail, self.ipc, split, tuple(_with_shares(rows)), self.failed)


def _plan(
    ipc: int, context: ComparisonContext, points: Sequence[Point], finished: Sequence[Finished], executor: Executor
) -> _Planned:
    """Hand in all cells of a table."""
    settings, params = context.settings, context.params
    failed: dict[str, str] = {}
    entries = []
    for method in settings.methods:
        if method not in CONTROLS:
            for point in points:
                entry = _guarded(point.named(method), failed, partial(_entry, method, point, ipc, context))
                entries += [entry] if entry else []
    rows = [_sets(entry, context, executor, failed) for entry in entries]
    student_protocols = list(dict.fromkeys(entry.student_protocol for entry in entries)) or [
        context.student_protocol_of(params)
    ]
    fitting = [one for one in finished if max(one.distilled.ipc) == ipc]
    rows += [_finished(one, context, student_protocols[0], executor, failed) for one in fitting]
    for student_protocol in student_protocols:
        own = [entry for entry in entries if entry.student_protocol == student_protocol]
        beside = controls_for(own, ipc, settings, params, student_protocol)
        suffix = f", as {own[0].name}" if len(student_protocols) > 1 else ""
        rows += [_sets(entry, context, executor, failed) for entry in named_for(beside, suffix)]
        rows.append(_full(ipc, suffix, context, student_protocol, executor, failed))
    return _Planned(ipc, context, tuple(rows), failed)


def _entry(method: str, point: Point, ipc: int, context: ComparisonContext) -> Entry:
    own = enter(method, ipc, context.settings, point.on(context.params))
    return Entry(point.named(method), own, context.student_protocol_of(own.params), control=False)


def _sets(
    entry: Entry, context: ComparisonContext, executor: Executor, failed: dict[str, str]
) -> Callable[[], list[TableRow]]:
    """The entry's row, once all its sets are made and evaluated; none if one of them failed."""
    seeds = context.settings.seeds
    teachers = teachers_of(entry, context)
    taught = () if teachers is None else (Cell("teachers", partial(teach, entry, context), key=teachers),)
    evaluated = []
    for seed in range(seeds):
        title = f"{entry.name}: set {seed + 1} of {seeds}"
        made = Cell(f"{title}, distilled", partial(make, entry, seed, context), taught)
        evaluated.append(executor.submit(Cell(title, partial(try_out, entry, seed, context), (made,))))

    def rows() -> list[TableRow]:
        measured: list[list[Measurement]] = []
        for pending in evaluated:
            one = _guarded(entry.name, failed, pending.result)
            if one is None:
                return []
            measured.append(one)
        augment = entry.chosen.settings.augment if isinstance(entry.chosen.method, OptimisedMethod) else None
        return _rows(measured, entry.student_protocol, augment, control=entry.control)

    return rows


def _finished(
    one: Finished,
    context: ComparisonContext,
    student_protocol: StudentProtocol,
    executor: Executor,
    failed: dict[str, str],
) -> Callable[[], list[TableRow]]:
    """The row of a set that was named, once it is evaluated; of unequal counts, with controls of its own."""
    evaluated = executor.submit(Cell(one.name, partial(evaluate_finished, one, context, student_protocol)))
    controls = f"{one.name}: controls"
    like_it = partial(evaluate_controls, one, context, student_protocol)
    own = executor.submit(Cell(controls, like_it)) if one.unequal else None
    beside = one.name if own else None

    def rows() -> list[TableRow]:
        found = _guarded(one.name, failed, evaluated.result)
        if found is None:
            return []
        augment = (found[0].config.get("distill") or {}).get("augment")
        measured = (_guarded(controls, failed, own.result) or []) if own else []
        return [
            *_rows([found], student_protocol, augment, beside),
            *(TableRow(each.subject, True, student_protocol, (each,), None, beside) for each in measured),
        ]

    return rows


def _rows(
    measured: Sequence[Sequence[Measurement]],
    student_protocol: StudentProtocol,
    augment: str | None,
    beside: str | None = None,
    *,
    control: bool = False,
) -> list[TableRow]:
    """The row of sets under ``student_protocol``, and that of the step sizes they were learned with, if measured."""
    protocols = (student_protocol, replace(student_protocol, learned_rate=True))
    return [
        TableRow(sets[0].subject, control, protocol, sets, augment, beside)
        for protocol, sets in zip(protocols, zip(*measured, strict=True), strict=False)
    ]


def _full(
    ipc: int,
    suffix: str,
    context: ComparisonContext,
    student_protocol: StudentProtocol,
    executor: Executor,
    failed: dict[str, str],
) -> Callable[[], list[TableRow]]:
    """The full long-tailed set, one row per answer to the long tail."""
    name = "full" + suffix
    evaluated = executor.submit(Cell(name, partial(_evaluate_full, ipc, suffix, context, student_protocol)))

    def rows() -> list[TableRow]:
        found = _guarded(name, failed, evaluated.result) or []
        return [TableRow(one.subject, True, student_protocol, (one,), None) for one in found]

    return rows


def _evaluate_full(
    ipc: int, suffix: str, context: ComparisonContext, student_protocol: StudentProtocol
) -> list[Measurement]:
    train = context.longtail.train().to(context.device)
    return [
        Measurement.of_all_images(
            train,
            evaluation,
            subject=f"{control}{suffix}",
            ipc=ipc,
            data=facts_of(context.longtail.manifest),
            split=context.split,
            protocol=student_protocol.described(),
        )
        for control, evaluation in evaluate_full(train, context.evaluator(student_protocol)).items()
    ]


def _with_shares(rows: Sequence[TableRow]) -> list[TableRow]:
    """Every row with its share of the gap between random images, as many as it has, and the best of all of them.

    All are of the row's own protocol. A row whose labels teachers gave has none.
    """
    done = []
    for row in rows:
        beside = [other for other in rows if other.control and other.student_protocol == row.student_protocol]
        as_many = [other for other in beside if other.beside == row.beside]
        random = [other.accuracy.students.mean for other in as_many if other.method == ControlName.random]
        full = [other.accuracy.students.mean for other in beside if other.method is None]
        share = None
        if random and full and row.labels != LabelKind.teacher:  # whose labels raise random images as well
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
