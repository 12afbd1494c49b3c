"""Measurements from the files that evaluate and compare wrote: one per set and row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from csdm_cli.artifacts.evaluation_rows import own_row
from csdm_cli.artifacts.run_record import Machine, RunRecord
from csdm_cli.errors import CsdmError
from csdm_cli.evaluation.controls import FULL, ControlName, under_labels
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.evaluation.scores import ClassGroups, group_of_classes
from csdm_cli.ledger.probe_rows import heir
from csdm_cli.ledger.sections import selection_section, start_section
from csdm_cli.names import AT_LEARNED_RATE, LabelKind
from csdm_cli.runs.measurement import LATER, TOLD, Measurement
from csdm_cli.runs.student_protocol import at_learned_rate
from csdm_cli.storage.bounded import parsed_json
from csdm_cli.storage.keys import Commit

_MACHINE = TypeAdapter(Machine)
_RECORD: TypeAdapter[RunRecord | None] = TypeAdapter(RunRecord | None)


def read_measurements(path: Path, *, controls: bool) -> list[Measurement]:
    """All measurements in a folder of evaluate, or in a ``compare.json`` (or its folder).

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
                return read(parsed_json(file.read_bytes()), file.parent, controls)
            except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
                raise CsdmError(f"{file} does not tell what a row needs: run csdm evaluate or compare again") from error
    raise CsdmError(f"{path} is no folder that csdm evaluate or compare wrote")


def _of_evaluate(value: dict[str, Any], folder: Path, controls: bool) -> list[Measurement]:
    told, rows = value["measured"], value["rows"]
    records = parsed_json((folder / "evaluate.run.json").read_bytes())
    groups, own = _groups(told), own_row(rows, told["method"], told["labels"])
    evaluated = TypeAdapter(RunRecord).validate_python(records["evaluate"])
    found = Measurement(
        **{name: told[name] for name in TOLD} | {name: told.get(name) for name in LATER},
        protocol=value["protocol"],
        subject=own,
        evaluation=Evaluation.from_dict(rows[own], groups),
        making=_RECORD.validate_python(records["distill"]),
        evaluating=evaluated,
        code=evaluated.code,
        machine=evaluated.machine,
    )
    names = [name for name in ControlName if controls and name in rows and name != own]
    beside = [_control(found, name, Evaluation.from_dict(rows[name], groups)) for name in names]
    for name in ControlName:  # under the labels of the same teachers
        alike = under_labels(name, LabelKind.teacher, beside=told["method"])
        if controls and alike in rows:
            one = _control(found, name, Evaluation.from_dict(rows[alike], groups))
            beside.append(replace(one, subject=alike, labels=found.labels, labelled_by=found.labelled_by))
    learned = [
        _at_learned_rate(found, Evaluation.from_dict(rows[name], groups))
        for name in rows
        if name.startswith(f"{own.removesuffix(')')}, {AT_LEARNED_RATE} ")
    ]
    told = value.get("inheritance", {"rows": {}})
    heirs = [
        heir(found, name, number, Evaluation.from_dict(rows[name], groups), told)
        for name, number in told["rows"].items()
        if controls or number is None
    ]
    return [found, *learned, *beside, *heirs]


def _at_learned_rate(beside: Measurement, evaluation: Evaluation) -> Measurement:
    """The same set under students at the step size that it was learned with, called as in a table of compare."""
    name, labels = beside.subject.rsplit(" (", 1)
    subject, protocol = f"{name}, {AT_LEARNED_RATE} ({labels}", at_learned_rate(beside.protocol)
    return replace(beside, subject=subject, protocol=protocol, evaluation=evaluation, evaluating=None)


def _control(beside: Measurement, name: ControlName, evaluation: Evaluation) -> Measurement:
    """A control in the table of another set: its selection has that set's seed."""
    teachers = {"teachers": beside.config.get("teachers")}  # whose architecture is the students'
    plain = replace(
        beside,
        subject=str(name),
        labels="hard",
        config=teachers,
        evaluation=evaluation,
        storage_bytes=None,
        stored_numbers=None,
        ipc_equivalent=None,
        parameterization=None,
        labelled_by=None,
        images_sha256=None,
        making=None,
        evaluating=None,
    )
    if name in FULL:
        return replace(plain, method=None, seed=None, factor=1)
    selection = selection_section(ControlName.random, beside.ipc, 1)
    if name == ControlName.centroid:  # chosen anew, beside the set that it is made again with
        return replace(plain, method=str(name), factor=1, config=teachers | {"distill": selection})
    if name == ControlName.start:
        return replace(plain, method=str(name), config=teachers | {"distill": start_section(beside.config["distill"])})
    factor = beside.factor if name == ControlName.tiled_random else 1
    distill = selection_section(name, beside.ipc, factor)
    return replace(plain, method=str(name), factor=factor, config=teachers | {"distill": distill})


def _of_compare(value: dict[str, Any], folder: Path, controls: bool) -> list[Measurement]:
    now = Commit(value["commit"], bool(value.get("dirty"))) if value.get("commit") else None
    everywhere = {"source": value.get("source"), "versions": value["versions"]}
    machine, found = _MACHINE.validate_python(value["machine"]), []
    for table in value["tables"].values():
        groups = _groups(table)
        for row in table["rows"]:
            if row["control"] and not controls:
                continue
            sets = row["sets"] or [{"seed": None, "config": {}, "images_sha256": None, "record": None}]
            distinct: dict[str | None, dict[str, Any]] = {}  # a method that draws nothing gives one set for all seeds
            for one in sets:
                distinct.setdefault(one["images_sha256"], one)
            for one, evaluation in zip(distinct.values(), row["evaluations"], strict=True):
                told, making = everywhere | table | row | one, _RECORD.validate_python(one["record"])
                if row["control"] and row["name"].startswith(ControlName.start):
                    told["method"] = ControlName.start.value  # made by a method, in no step
                own = Measurement(
                    **{name: told[name] for name in TOLD}
                    | {name: told.get(name) for name in LATER}
                    | {"source": told["source"] or ""},
                    protocol=told["protocol"],
                    subject=row["name"] if row["control"] else f"{row['name']} ({row['labels']} labels)",
                    evaluation=Evaluation.from_dict(evaluation, groups),
                    making=making,
                    code=(making.code if making else None) or now,
                    machine=machine,
                )
                found.append(own)
    return found


def _groups(told: Mapping[str, Any]) -> ClassGroups:
    return group_of_classes(told["data"]["counts"])
