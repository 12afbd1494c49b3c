"""What evaluate and compare wrote, as findings: one per set and row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from csdm_cli.errors import CsdmError
from csdm_cli.evaluation.controls import FULL, ControlName
from csdm_cli.ledger.row import Code, Machine, RunCost
from csdm_cli.ledger.sections import selection_section
from csdm_cli.storage.bounded import parsed_json


@dataclass(frozen=True)
class Measurement:
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
        evaluation: of :class:`~csdm_cli.evaluation.results.Evaluation`, as JSON values.
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
    making: RunCost
    judging: RunCost
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
            "numerics": self.origin.get("numerics"),
            "teachers": self.origin.get("teachers"),
        }


def read_findings(path: Path, *, controls: bool) -> list[Measurement]:
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
                return read(parsed_json(file.read_bytes()), file.parent, controls)
            except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
                raise CsdmError(f"{file} does not tell what a row needs: run csdm evaluate or compare again") from error
    raise CsdmError(f"{path} is no folder that csdm evaluate or compare wrote")


def _of_evaluate(value: dict[str, Any], folder: Path, controls: bool) -> list[Measurement]:
    told, rows = value["measured"], value["rows"]
    records = parsed_json((folder / "evaluate.run.json").read_bytes())
    judged, made = records["evaluate"], records["distill"]
    own = next(iter(rows))
    found = _finding(
        told | {"protocol": value["protocol"]},
        subject=own,
        evaluation=rows[own],
        making=_cost(made),
        judging=_cost(judged),
        code=_code(judged["code"], told["source"], told["versions"]),
        machine=Machine(**judged["machine"]),
    )
    names = [str(name) for name in ControlName if controls and str(name) in rows and str(name) != own]
    return [found, *(_control(found, name, rows[name]) for name in names)]


def _finding(told: Mapping[str, Any], **own: Any) -> Measurement:
    """What evaluate and compare call by the same names, in ``told``, and what they tell each in their way."""
    return Measurement(
        method=told["method"],
        labels=told["labels"],
        ipc=told["ipc"],
        factor=told["factor"],
        facts=told["data"],
        tested_on=told["tested_on"],
        protocol=told["protocol"],
        origin=told["config"],
        seed=told["seed"],
        storage_bytes=told["storage_bytes"],
        images_sha256=told["images_sha256"],
        **own,
    )


def _control(beside: Measurement, name: str, evaluation: Mapping[str, Any]) -> Measurement:
    """A control in the table of another set: its selection has that set's seed."""
    plain = replace(
        beside,
        subject=name,
        labels="hard",
        evaluation=evaluation,
        storage_bytes=None,
        images_sha256=None,
        making=RunCost(),
        judging=RunCost(),
    )
    if name in list(FULL):
        return replace(plain, method=None, seed=None, factor=1, origin=_without_set(beside.origin))
    factor = beside.factor if name == ControlName.tiled_random else 1
    distill = selection_section(name, beside.ipc, factor)
    return replace(plain, method=name, factor=factor, origin=_without_set(beside.origin) | {"distill": distill})


def _without_set(origin: Mapping[str, Any]) -> dict[str, Any]:
    """Only the teachers of a provenance, whose architecture is the students'."""
    return {"teachers": origin.get("teachers")}


def _of_compare(value: dict[str, Any], folder: Path, controls: bool) -> list[Measurement]:
    now = {name: value.get(name) for name in ("commit", "dirty", "source")}
    machine = Machine(**value["machine"])
    found = []
    for table in value["tables"].values():
        for row in table["rows"]:
            if row["control"] and not controls:
                continue
            subject = row["name"] if row["control"] else f"{row['name']} ({row['labels']} labels)"
            sets = row["sets"] or [{"seed": None, "config": {}, "images_sha256": None, "record": None, **now}]
            distinct: dict[str | None, dict[str, Any]] = {}  # a method that draws nothing gives one set for all seeds
            for one in sets:
                distinct.setdefault(one["images_sha256"], one)
            for one, evaluation in zip(distinct.values(), row["evaluations"], strict=True):
                record = one["record"]
                own = _finding(
                    table | one | row,
                    subject=subject,
                    evaluation=evaluation,
                    making=_cost(record),
                    judging=RunCost(),
                    code=_code((record or {}).get("code") or now, one.get("source") or "", value["versions"]),
                    machine=machine,
                )
                found.append(own)
    return found


def _cost(record: Mapping[str, Any] | None) -> RunCost:
    return RunCost(record["wall_seconds"], record["peak_memory_bytes"]) if record else RunCost()


def _code(code: Mapping[str, Any] | None, source: str, versions: Mapping[str, str]) -> Code:
    known = code or {"commit": None, "dirty": None}
    return Code(known["commit"], known["dirty"], source, dict(versions))
