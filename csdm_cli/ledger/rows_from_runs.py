"""Rows from what evaluate and compare wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from csdm_cli.artifacts.run_record import RunRecord
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.evaluation.protocol import steps_on_all
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.ledger.departures import is_optimised
from csdm_cli.ledger.matching import scale_differences
from csdm_cli.ledger.measurements import read_measurements
from csdm_cli.ledger.probe_rows import probe_of, probe_parts
from csdm_cli.ledger.protocol import TODAY, Protocol
from csdm_cli.ledger.row import TABLE_NAME, Code, Computing, Data, Maker, Measured, Row, RunCost, SectionName, Student
from csdm_cli.ledger.sections import evaluate_section, make_lt_section, pretrain_section, selection_section
from csdm_cli.ledger.shell_commands import typed_commands
from csdm_cli.names import LabelKind
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.runs.measurement import Measurement
from csdm_cli.safe_text import counted
from csdm_cli.settings.units import modern_sections
from csdm_cli.training.recipe import Duration

Scale = Literal["full", "reduced"]


def rows_of(places: Sequence[Path], table: str | None, scale: Scale | None, *, controls: bool) -> list[Row]:
    """A row of every set (and control) in what evaluate and compare wrote, the sets of equal settings together.

    Args:
        places: folders of evaluate and compare.
        table: the rows' table; None is named for data, IPC and width.
        scale: None if the settings are to tell.
        controls: the controls beside the sets as well.

    Raises:
        UsageError: if ``table`` cannot be part of a file's name.
        CsdmError: as :func:`build_row`, or if two rows would have one name.
    """
    if table is not None and not re.match(TABLE_NAME, table):
        raise UsageError(f"--table: got {table!r}, expected lower case letters, digits, dots and dashes")
    found = [one for place in places for one in read_measurements(place, controls=controls)]
    rows = [build_row(own, table, scale) for own in by_row(found)]
    if len({row.name for row in rows}) < len(rows):
        raise CsdmError("these runs differ in data or IPC: add them one at a time, or leave --table out")
    return rows


def build_row(found: Sequence[Measurement], table: str | None, scale: Scale | None) -> Row:
    """One row of one or several sets.

    Args:
        found: the sets; they differ by their seeds alone.
        table: the row's table; None is named for data, IPC and width.
        scale: None if the settings are to tell.

    Raises:
        CsdmError: if the sets do not belong to one row, the set came from another tool, or the settings are not those
            of full ``scale``.
    """
    first = found[0]
    if first.machine is None:
        raise CsdmError(f"{first.subject}: nothing tells which machine measured it")
    common = _in_common(first)
    for other in found[1:]:
        if different := [name for name, value in _in_common(other).items() if common[name] != value]:
            raise CsdmError(f"the sets of seeds {first.seed} and {other.seed} differ in {', '.join(different)}")
    if first.method is not None and not first.config.get("distill"):
        raise CsdmError(f"{first.subject}: a set of another tool cannot be run again, so it cannot be a row")
    own = first.config.get("teachers") or {}
    network = own.get("spec") or first.protocol["network"]
    if first.labels == LabelKind.teacher:
        _refuse_strangers(first, own)
    sections: dict[SectionName, dict[str, Any]] = {
        "make_lt": make_lt_section(first.data),
        "pretrain": pretrain_section(own or None, network),
        "distill": dict(first.config.get("distill") or selection_section("random", 1, 1)),
        "evaluate": evaluate_section(_protocol(first), network, first.tested_on, first.labels),
    }
    probe = probe_of(first)
    if probe is not None:
        sections["backbone"] = pretrain_section(probe.backbone, network)
        sections["evaluate"]["inherit"] = probe.inherited is not None
    numerics = _numerics(first)
    row = Row(
        table=table or _table_of(first),
        subject=first.subject,
        method=first.method or first.subject,
        labels=LabelKind(first.labels),
        ipc=first.ipc if first.method else None,
        factor=first.factor,
        scale="reduced",
        scale_text="unknown",
        commands=typed_commands(
            modern_sections(sections, len(first.data["counts"])),
            str(first.data["origin"]),
            len(found),
            numerics,
        ),
        config=sections,
        network=dict(first.protocol["network"]),
        data=_data(first),
        code=_code(first),
        machine=first.machine,
        sets=tuple(_measured(one) for one in sorted(found, key=lambda one: one.seed or 0)),
        numerics=numerics,
        protocol=TODAY if probe is None else Protocol.probe,
        probe=probe,
    )
    return _scaled(row, scale)


def _refuse_strangers(found: Measurement, teachers: Mapping[str, Any]) -> None:
    """Raise :class:`CsdmError` if others labelled than the ``teachers`` told of, or they are not of students' kind."""
    if found.labelled_by != teachers.get("key"):
        raise CsdmError(f"{found.subject}: other teachers labelled it than it tells of, so it cannot be run again")
    shared = ("width", "depth", "norm", "pooling")
    theirs, students = teachers["spec"], found.protocol["network"]
    if theirs["name"] == students["name"] and any(theirs[name] != students[name] for name in shared):
        raise CsdmError(f"{found.subject}: networks of another size labelled it, of which a row does not tell")


def _table_of(found: Measurement) -> str:
    """A name for the table: of data, IPC and the students' width, or the backbone that probes look through."""
    network = found.protocol["network"]
    name = f"{found.data['dataset']}-lt{found.data['imbalance']:g}-ipc{found.ipc}"
    if found.protocol.get("probed"):
        return f"{name}-probe-{re.sub('[^a-z0-9.]+', '-', network['name'].lower())}"
    return f"{name}-width{network['width']}" if network["name"] == "convnet" else name


def by_row(found: Sequence[Measurement]) -> list[list[Measurement]]:
    """The sets of each row: of one name, data and IPC.

    What stands beside several sets, as all real images do, was measured once.

    Raises:
        CsdmError: if one seed was measured twice, with other settings or scores.
    """
    rows: dict[tuple[Any, ...], list[Measurement]] = {}
    for one in found:
        own = rows.setdefault((one.subject, one.ipc, one.data["fingerprints"]["train"], one.tested_on), [])
        twin = next((other for other in own if other.seed == one.seed), None)
        if twin is None:
            own.append(one)
        elif _scored(one) != _scored(twin):
            seed = "" if one.seed is None else f", seed {one.seed}"
            raise CsdmError(
                f"{one.subject}{seed}: measured twice, with other settings or scores: add what is of one table alone"
                " (controls come with --controls)"
            )
    return list(rows.values())


def _scored(one: Measurement) -> tuple[Any, ...]:
    """All that two measurements of one set have in common."""
    return one.protocol, one.config.get("distill"), students_of(one.evaluation)


def _protocol(one: Measurement) -> dict[str, Any]:
    """The students' protocol, with the steps of those on all real images where it is of these."""
    told = dict(one.protocol)
    if one.method is not None or "full_steps" not in told:
        return told
    images, batch = sum(one.data["counts"]), told["recipe"]["batch"]
    return told | {"full_steps": steps_on_all(told["full_steps"], told["steps"], batch, images)}


def scale_text(row: Row) -> str:
    """Width, teachers, iterations and students in words."""
    parts = _parts(row) if row.probe is None else probe_parts(row)
    sets = "" if row.is_full_data else f"{counted(len(row.sets), 'set')} × "
    return (
        f"{', '.join(parts)}; {sets}{counted(len(row.sets[0].students), 'student' if row.probe is None else 'probe')}"
    )


def _parts(row: Row) -> list[str]:
    network, distill, pretrain = row.network, row.config["distill"], row.config["pretrain"]
    parts = [str(network["name"])]
    if network["name"] == "convnet":
        parts = [f"ConvNet-{network['depth']} of width {network['width']}"]
    if distill.get("teacher_schedule"):
        duration = Duration.told(pretrain)
        parts.append(f"{counted(pretrain['teachers'], 'teacher')} of {duration}")
    if experts := pretrain.get("experts"):
        steps = counted(pretrain["expert_snapshots"] * pretrain["snapshot_every"], "step")
        parts.append(f"{counted(experts, 'expert')} of {steps}")
    if is_optimised(row):
        parts.append(counted(distill["iterations"], "iteration"))
    return [*parts, f"students of {counted(row.student_steps, 'step')}"]


def _scaled(row: Row, scale: Scale | None) -> Row:
    missing = scale_differences(row)
    if scale == "full" and missing:
        raise CsdmError(f"--scale full: these settings are not the papers': {'; '.join(missing)}")
    return replace(row, scale=scale or ("reduced" if missing else "full"), scale_text=scale_text(row))


def _numerics(found: Measurement) -> dict[Computing, Numerics]:
    """Numerics of teachers, distillation and students, unless they are plain."""
    told: dict[Computing, Any] = {"distill": found.config.get("numerics"), "evaluate": found.protocol.get("numerics")}
    told["pretrain"] = (found.config.get("teachers") or {}).get("numerics")
    read = {part: TypeAdapter(Numerics).validate_python(value) for part, value in told.items() if value}
    return {part: own for part, own in read.items() if own != PLAIN}


def _data(found: Measurement) -> Data:
    facts = found.data
    return Data(
        dataset=facts["dataset"],
        imbalance=facts["imbalance"],
        counts=tuple(facts["counts"]),
        split=facts["split"],
        jpeg=facts["jpeg"],
        origin=facts["origin"],
        fingerprints=dict(facts["fingerprints"]),
        tested_on="dev" if found.tested_on == "dev" else "test",
    )


def students_of(evaluation: Evaluation) -> tuple[Student, ...]:
    """The students of an evaluation, as a row holds them."""
    runs = zip(evaluation.students, evaluation.scores, strict=True)
    return tuple(Student(scores.accuracy, run.best_on_test, scores.per_class) for run, scores in runs)


def _measured(found: Measurement) -> Measured:
    return Measured(
        seed=found.seed,
        students=students_of(found.evaluation),
        storage_bytes=found.storage_bytes,
        images_sha256=found.images_sha256,
        run=found.config.get("run") if found.method else None,
        making=_cost(found.making, found.seconds),
        evaluating=_cost(found.evaluating, found.evaluating.wall_seconds if found.evaluating else None),
        stored_numbers=found.stored_numbers,
        ipc_equivalent=found.ipc_equivalent,
        maker=maker_of(found),
    )


def maker_of(found: Measurement) -> Maker | None:
    """The maker of the set, if it was another machine or commit than tested its students."""
    record = found.making
    if record is None or (record.machine, record.code) == (found.machine, found.code):
        return None
    return Maker(record.machine, *((record.code.commit, record.code.dirty) if record.code else (None, None)))


def _cost(record: RunRecord | None, seconds: float | None) -> RunCost:
    return RunCost(seconds, record.peak_memory_bytes) if record else RunCost()


def _code(found: Measurement) -> Code:
    commit, dirty = (found.code.commit, found.code.dirty) if found.code else (None, None)
    return Code(commit, dirty, found.source, dict(found.versions))


def _in_common(found: Measurement) -> dict[str, Any]:
    """The facts that all sets of a row share, by a name for each."""
    distill = {name: value for name, value in (found.config.get("distill") or {}).items() if name != "seed"}
    return {
        "method": found.method,
        "labels": found.labels,
        "data": found.data["fingerprints"],
        "tested on": found.tested_on,
        "protocol": found.protocol,
        "settings": distill,
        "numerics": found.config.get("numerics"),
        "teachers": found.config.get("teachers"),
    }
