"""Rows from what evaluate and compare wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from csdm_cli.engine.controls import FULL, ControlName
from csdm_cli.engine.evaluation import StudentRun
from csdm_cli.errors import CsdmError
from csdm_cli.ledger.matching import scale_differences
from csdm_cli.ledger.repeat import evaluate_section, make_lt_section, pretrain_section, selection_section
from csdm_cli.ledger.row import Code, Cost, Data, Machine, Measured, Row, SectionName, Student
from csdm_cli.names import LabelKind
from csdm_cli.scores import Scores, group_of_classes

Commands = Callable[[Mapping[SectionName, Mapping[str, Any]], str, int], tuple[str, ...]]
Scale = Literal["full", "reduced"]


@dataclass(frozen=True)
class Finding:
    """One set of one row, as evaluate or compare tell of it.

    Attributes:
        subject: the row's name there.
        method: None of all real images.
        labels: that students were trained on.
        ipc, factor: of the set.
        facts: of the long-tailed set's manifest.
        tested_on: ``test`` or ``dev``.
        protocol: of the students, with their network.
        origin: the set's provenance: settings of distill, description of the teachers, key of the run.
        seed: of the set.
        evaluation: of :class:`~csdm_cli.engine.evaluation.Evaluation`, as JSON values.
        storage_bytes, images_sha256: of the stored set.
        making, judging: costs.
        code, machine: what computed it, and where.
    """

    subject: str
    method: str | None
    labels: str
    ipc: int
    factor: int
    facts: Mapping[str, Any]
    tested_on: str
    protocol: Mapping[str, Any]
    origin: Mapping[str, Any]
    seed: int | None
    evaluation: Mapping[str, Any]
    storage_bytes: int | None
    images_sha256: str | None
    making: Cost
    judging: Cost
    code: Code
    machine: Machine

    @property
    def same(self) -> dict[str, Any]:
        """What all sets of a row have in common."""
        distill = {name: value for name, value in (self.origin.get("distill") or {}).items() if name != "seed"}
        return {
            "method": self.method,
            "labels": self.labels,
            "data": self.facts["fingerprints"],
            "tested on": self.tested_on,
            "protocol": self.protocol,
            "settings": distill,
            "teachers": self.origin.get("teachers"),
        }


def read_findings(path: Path, *, controls: bool) -> list[Finding]:
    """What a folder of evaluate tells, or a ``compare.json`` (or its folder).

    Args:
        path: the folder or file.
        controls: the controls beside the set as well.

    Raises:
        CsdmError: if it is neither, or older than the ledger.
    """
    for name, read in (("details.json", _of_evaluate), ("compare.json", _of_compare)):
        file = path if path.name == name else path / name
        if file.is_file():
            try:
                return read(json.loads(file.read_bytes()), file.parent, controls)
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise CsdmError(f"{file} does not tell what a row needs: run csdm evaluate or compare again") from error
    raise CsdmError(f"{path} is no folder that csdm evaluate or compare wrote")


def build_row(found: Sequence[Finding], table: str | None, scale: Scale | None, commands: Commands) -> Row:
    """One row of one or several sets.

    Args:
        found: the sets; they differ by their seeds alone.
        table: the row's table; None is named for data, IPC and width.
        scale: None if the settings are to tell.
        commands: types out settings, for a kind of source and a number of sets.

    Raises:
        CsdmError: if the sets do not belong to one row, the set came from another tool, or the settings are not those
            of full ``scale``.
    """
    first = found[0]
    for other in found[1:]:
        if different := [name for name, value in first.same.items() if other.same[name] != value]:
            raise CsdmError(f"the sets of seeds {first.seed} and {other.seed} differ in {', '.join(different)}")
    if first.method is not None and not first.origin.get("distill"):
        raise CsdmError(f"{first.subject}: a set of another tool cannot be run again, so it cannot be a row")
    network = (first.origin.get("teachers") or {}).get("spec") or first.protocol["network"]
    sections: dict[SectionName, dict[str, Any]] = {
        "make_lt": make_lt_section(first.facts),
        "pretrain": pretrain_section(first.origin.get("teachers"), network),
        "distill": dict(first.origin.get("distill") or selection_section("random", 1, 1)),
        "evaluate": evaluate_section(first.protocol, network, first.tested_on, first.labels),
    }
    width = f"-width{first.protocol['network']['width']}" if first.protocol["network"]["name"] == "convnet" else ""
    named = f"{first.facts['dataset']}-lt{first.facts['imbalance']:g}-ipc{first.ipc}{width}"
    row = Row(
        table=table or named,
        subject=first.subject,
        method=first.method or first.subject,
        labels=LabelKind(first.labels),
        ipc=first.ipc if first.method else None,
        factor=first.factor,
        scale="reduced",
        scale_text="unknown",
        commands=commands(sections, str(first.facts["origin"]), len(found)),
        config=sections,
        network=dict(first.protocol["network"]),
        data=_data(first),
        code=first.code,
        machine=first.machine,
        sets=tuple(_measured(one) for one in sorted(found, key=lambda one: one.seed or 0)),
    )
    return _scaled(row, scale)


def by_subject(found: Sequence[Finding]) -> dict[str, list[Finding]]:
    """The sets of each row; all real images, which have no seed, are measured once however often they stand beside."""
    rows: dict[str, list[Finding]] = {}
    for one in found:
        own = rows.setdefault(one.subject, [])
        if all(one.seed != other.seed for other in own):
            own.append(one)
    return rows


def scale_text(row: Row) -> str:
    """Width, teachers, iterations and students in words."""
    network, distill, pretrain = row.network, row.config["distill"], row.config["pretrain"]
    parts = [str(network["name"])]
    if network["name"] == "convnet":
        parts = [f"ConvNet-{network['depth']} of width {network['width']}"]
    if distill.get("teacher_schedule"):
        parts.append(f"{pretrain['teachers']} teachers of {pretrain['epochs']} epochs")
        parts.append(f"{distill['iterations']:,} iterations")
    parts.append(f"students of {row.config['evaluate']['steps']:,} steps")
    sets = "" if row.is_full_data else f"{len(row.sets)} sets × "
    return f"{', '.join(parts)}; {sets}{len(row.sets[0].students)} students"


def _scaled(row: Row, scale: Scale | None) -> Row:
    missing = scale_differences(row)
    if scale == "full" and missing:
        raise CsdmError(f"--scale full: these settings are not the papers': {'; '.join(missing)}")
    return replace(row, scale=scale or ("reduced" if missing else "full"), scale_text=scale_text(row))


def _data(found: Finding) -> Data:
    facts = found.facts
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


def students_of(evaluation: Mapping[str, Any], counts: Sequence[int]) -> tuple[Student, ...]:
    """The students of an :class:`~csdm_cli.engine.evaluation.Evaluation`, given as JSON values."""
    groups, students = group_of_classes(counts), []
    for value in evaluation["students"]:
        run = StudentRun.from_dict(value)
        scores = Scores.of(run.confusion, groups)
        students.append(Student(scores.accuracy, run.best_on_test, scores.per_class))
    return tuple(students)


def _measured(found: Finding) -> Measured:
    run_key = found.origin.get("run") if found.method else None
    return Measured(
        seed=found.seed,
        students=students_of(found.evaluation, found.facts["counts"]),
        storage_bytes=found.storage_bytes,
        images_sha256=found.images_sha256,
        run=run_key,
        making=found.making,
        judging=found.judging,
    )


def _of_evaluate(value: dict[str, Any], folder: Path, controls: bool) -> list[Finding]:
    told, rows = value["measured"], value["rows"]
    records = json.loads((folder / "evaluate.run.json").read_bytes())
    judged, made = records["evaluate"], records["distill"]
    own = next(iter(rows))
    found = Finding(
        subject=own,
        method=told["method"],
        labels=told["labels"],
        ipc=told["ipc"],
        factor=told["factor"],
        facts=told["data"],
        tested_on=told["tested_on"],
        protocol=value["protocol"],
        origin=told["config"],
        seed=told["seed"],
        evaluation=rows[own],
        storage_bytes=told["storage_bytes"],
        images_sha256=told["images_sha256"],
        making=_cost(made),
        judging=_cost(judged),
        code=_code(judged["code"], told["source"], told["versions"]),
        machine=Machine(**judged["machine"]),
    )
    names = [str(name) for name in ControlName if controls and str(name) in rows and str(name) != own]
    return [found, *(_control(found, name, rows[name]) for name in names)]


def _control(beside: Finding, name: str, evaluation: Mapping[str, Any]) -> Finding:
    """A control in the table of another set: its selection has that set's seed."""
    plain = replace(
        beside,
        subject=name,
        labels="hard",
        evaluation=evaluation,
        storage_bytes=None,
        images_sha256=None,
        making=Cost(),
        judging=Cost(),
    )
    if name in list(FULL):
        return replace(plain, method=None, seed=None, factor=1, origin=_without_set(beside.origin))
    factor = beside.factor if name == ControlName.tiled_random else 1
    distill = selection_section(name, beside.ipc, factor)
    return replace(plain, method=name, factor=factor, origin=_without_set(beside.origin) | {"distill": distill})


def _without_set(origin: Mapping[str, Any]) -> dict[str, Any]:
    """Only the teachers of a provenance, whose architecture is the students'."""
    return {"teachers": origin.get("teachers")}


def _of_compare(value: dict[str, Any], folder: Path, controls: bool) -> list[Finding]:
    code = _code({"commit": value["commit"], "dirty": value["dirty"]}, "", value["versions"])
    machine = Machine(**value["machine"])
    found = []
    for table in value["tables"].values():
        for row in table["rows"]:
            if row["control"] and not controls:
                continue
            subject = row["name"] if row["control"] else f"{row['name']} ({row['labels']} labels)"
            sets = row["sets"] or [{"seed": None, "config": {}, "images_sha256": None, "record": None}]
            for one, evaluation in zip(sets, row["evaluations"], strict=True):
                record = one["record"]
                found.append(
                    Finding(
                        subject=subject,
                        method=row["method"],
                        labels=row["labels"],
                        ipc=table["ipc"],
                        factor=row["factor"],
                        facts=table["data"],
                        tested_on=table["tested_on"],
                        protocol=row["protocol"],
                        origin=one["config"],
                        seed=one["seed"],
                        evaluation=evaluation,
                        storage_bytes=row["storage_bytes"],
                        images_sha256=one["images_sha256"],
                        making=_cost(record),
                        judging=Cost(),
                        code=code,
                        machine=machine,
                    )
                )
    return found


def _cost(record: Mapping[str, Any] | None) -> Cost:
    return Cost(record["wall_seconds"], record["peak_memory_bytes"]) if record else Cost()


def _code(code: Mapping[str, Any] | None, source: str, versions: Mapping[str, str]) -> Code:
    known = code or {"commit": None, "dirty": None}
    return Code(known["commit"], known["dirty"], source, dict(versions))
