"""The tables of a comparison, measured: what is missing is made, a method that fails is named and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from csdm_cli.comparison.context import ComparisonContext, split_of
from csdm_cli.comparison.entries import CONTROLS, Entry, StudentProtocol, controls_for, enter, named_for
from csdm_cli.comparison.finished import Finished, finished_row
from csdm_cli.comparison.tables import Table, TableRow
from csdm_cli.comparison.trials import known_sets, try_out
from csdm_cli.comparison.tuning import Point
from csdm_cli.data.store import LongTail
from csdm_cli.display.console import note
from csdm_cli.errors import CsdmError, in_words
from csdm_cli.evaluation.controls import ControlName, evaluate_full
from csdm_cli.evaluation.scores import share_of_gap_closed
from csdm_cli.methods.contract import OptimisedMethod
from csdm_cli.runs.evaluating import images_of
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
        runtime: device, threads, tracking.
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
    device = runtime.apply()
    numerics, known = runtime.student_numerics(device), known_sets()
    found = []
    for longtail in _longtails(settings, params, data, runtime):
        test = images_of(longtail, split_of(settings, params)).to(device)
        shared = (settings, params, runtime, options, numerics, teachers, known, parent)
        context = ComparisonContext(*shared, longtail, test)
        found += [_table(ipc, context, points, finished) for ipc in settings.ipc]
    return found


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


def _table(ipc: int, context: ComparisonContext, points: Sequence[Point], finished: Sequence[Finished]) -> Table:
    settings, params = context.settings, context.params
    failed: dict[str, str] = {}
    entries = []
    for method in settings.methods:
        if method not in CONTROLS:
            for point in points:
                entry = _guarded(point.named(method), failed, partial(_entry, method, point, ipc, context))
                entries += [entry] if entry else []
    rows, controls = [], []
    for entry in entries:
        rows += _rows(entry, context, failed)
    student_protocols = list(dict.fromkeys(entry.student_protocol for entry in entries)) or [
        context.student_protocol_of(params)
    ]
    for one in finished:
        if max(one.distilled.ipc) == ipc:
            row = _guarded(one.name, failed, partial(finished_row, one, context, student_protocols[0]))
            rows += [row] if row else []
    for student_protocol in student_protocols:
        own = [entry for entry in entries if entry.student_protocol == student_protocol]
        beside = controls_for(own, ipc, settings, params, student_protocol)
        suffix = f", as {own[0].name}" if len(student_protocols) > 1 else ""
        for entry in named_for(beside, suffix):
            controls += _rows(entry, context, failed)
        controls += _full_rows(ipc, context, student_protocol, suffix, failed)
    return Table(context.longtail, ipc, str(context.split), tuple(_with_shares([*rows, *controls])), failed)


def _entry(method: str, point: Point, ipc: int, context: ComparisonContext) -> Entry:
    own = enter(method, ipc, context.settings, point.on(context.params))
    return Entry(point.named(method), own, context.student_protocol_of(own.params), control=False)


def _rows(entry: Entry, context: ComparisonContext, failed: dict[str, str]) -> list[TableRow]:
    """The entry's row, once all its sets are made and evaluated; none if one of them failed."""
    seeds = context.settings.seeds
    measured: list[Measurement] = []
    for seed in range(seeds):
        note(f"{entry.name}: set {seed + 1} of {seeds}", quiet=context.runtime.quiet)
        one = _guarded(entry.name, failed, partial(try_out, entry, seed, context))
        if one is None:
            return []
        measured.append(one)
    augment = entry.chosen.settings.augment if isinstance(entry.chosen.method, OptimisedMethod) else None
    return [TableRow(entry.name, entry.control, entry.student_protocol, tuple(measured), augment)]


def _full_rows(
    ipc: int, context: ComparisonContext, student_protocol: StudentProtocol, suffix: str, failed: dict[str, str]
) -> list[TableRow]:
    """The full long-tailed set, one row per answer to the long tail."""
    train = context.longtail.train().to(context.test.images.device)
    found = _guarded("full" + suffix, failed, partial(evaluate_full, train, context.evaluator(student_protocol)))
    rows = []
    for control, evaluation in (found or {}).items():
        name = f"{control}{suffix}"
        one = Measurement.of_all_images(
            train,
            evaluation,
            subject=name,
            ipc=ipc,
            data=facts_of(context.longtail.manifest),
            split=context.split,
            protocol=student_protocol.described(),
        )
        rows.append(TableRow(name, True, student_protocol, (one,), None))
    return rows


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
