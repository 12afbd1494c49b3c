"""``distilled.safetensors``: the one file a distillation run leaves.

Schema 1: tensors ``images``, ``labels`` and, if any, ``soft_labels``. Schema 2, of sets whose images are computed from
other numbers: the tensors of their parameterisation (every class has as many images) and, if any, ``soft_labels``. One
JSON header has all the rest. Both are guarded by hashes. The same run gives the same bytes: what differs between
identical runs (time, machine, commit) goes into a sidecar, see ``run_record.py``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from csdm_cli.artifacts.distilled import Coded, DatasetInfo, Decoding, Distilled, Provenance, SoftLabels
from csdm_cli.artifacts.validation import coding_fault, first_problem
from csdm_cli.errors import CsdmError
from csdm_cli.images.initial import to_uint8
from csdm_cli.parameterisations.parameterisation import Shape
from csdm_cli.parameterisations.stored import parameterisation_of
from csdm_cli.safe_text import typed
from csdm_cli.storage import kinds, outputs, tensorfile
from csdm_cli.storage.bounded import adapter

__all__ = [
    "FILE_NAME",
    "SCHEMAS",
    "Coded",
    "DatasetInfo",
    "Decoding",
    "Distilled",
    "Provenance",
    "SoftLabels",
    "find_artifact",
    "load_distilled",
    "read_distilled",
    "refuse_unsound",
    "save_distilled",
    "to_uint8",
]

FILE_NAME = "distilled.safetensors"
KIND = "csdm distilled set"
SCHEMAS = (1, 2)
FIELDS = frozenset({"kind", "schema", "body", "body_sha256", "sha256", tensorfile.SEAL})  # of the header
DISTILLED = kinds.tensors(KIND)


@dataclass(frozen=True)
class _SoftLabelKind:
    temperature: float
    teacher: str


@dataclass(frozen=True)
class _Header:
    """Everything but the tensors."""

    dataset: DatasetInfo
    decoding: Decoding | Coded
    provenance: Provenance
    evaluation: dict[str, Any]
    soft_labels: _SoftLabelKind | None
    value_range: tuple[float, float]


def find_artifact(path: Path) -> Path:
    """The file meant by ``path``: itself, or the one in the folder ``path``.

    Raises:
        CsdmError: if there is none.
    """
    if path.is_dir():
        inside = path / FILE_NAME
        if not inside.is_file():
            raise CsdmError(f"there is no {FILE_NAME} in the folder {path}: run `csdm distill`, or name the file")
        return inside
    if not path.exists():
        raise CsdmError(f"{path} does not exist: run `csdm distill`, or name a {FILE_NAME} or its folder")
    return path


def save_distilled(path: Path, distilled: Distilled) -> None:
    """Write a set to ``path``, atomically; equal sets give equal bytes.

    Raises:
        CsdmError: if the set is not sound, or ``path`` is something else than a set or cannot be written; then nothing
            is written.
    """
    outputs.refuse_foreign(path, DISTILLED)
    refuse_unsound(path, distilled)
    tensors = dict(distilled.stored)
    if isinstance(distilled.decoding, Decoding):
        tensors["labels"] = distilled.labels
    kind = None
    if soft := distilled.soft_labels:
        tensors["soft_labels"] = soft.probabilities
        kind = _SoftLabelKind(soft.temperature, soft.teacher)
    header = _Header(
        dataset=distilled.dataset,
        decoding=distilled.decoding,
        provenance=distilled.provenance,
        evaluation=distilled.evaluation,
        soft_labels=kind,
        value_range=distilled.value_range,
    )
    body: dict[str, Any] = adapter(_Header).dump_python(header, mode="json")
    told = {"kind": KIND, "schema": schema_of(distilled), "body": body, "body_sha256": _hash(body)}
    tensorfile.save(path, tensors, told)


def schema_of(distilled: Distilled) -> int:
    """The form a set is written in: the oldest that can hold it."""
    return SCHEMAS[isinstance(distilled.decoding, Coded)]


def refuse_unsound(path: Path, distilled: Distilled) -> None:
    """Raise CsdmError if ``distilled``, which would go to ``path``, is not sound."""
    if problem := first_problem(distilled):
        raise CsdmError(f"refusing to write {path}: the set has {problem}")


def load_distilled(path: Path) -> Distilled:
    """Read and check a set; ``path`` is the file or its folder.

    Raises:
        CsdmError: if the file is missing, damaged, of another schema, or not sound; one line that
            names `csdm verify`.
    """
    path = find_artifact(path)
    try:
        distilled = read_distilled(path)
        problem = first_problem(distilled)
    except CsdmError as error:
        raise CsdmError(f"{error}; `csdm verify {typed(path)}` checks it again") from error
    if problem:
        raise CsdmError(f"{path} is not a sound set: it has {problem}; `csdm verify {typed(path)}` lists the checks")
    return distilled


def read_distilled(path: Path) -> Distilled:
    """Read a set and compare all hashes, without asking whether its contents make sense.

    Raises:
        CsdmError: if the file is missing, damaged or of another schema.
    """
    header = tensorfile.read_header(path, sealed=False)  # the body has a hash of its own
    if header.get("kind") != KIND:
        raise CsdmError(f"{path} was written by csdm, but is not a distilled set")
    if header.get("schema") not in SCHEMAS:
        raise CsdmError(
            f"{path} has schema {header.get('schema')!r}, this csdm reads schema {' and '.join(map(str, SCHEMAS))}: "
            "use the csdm version that wrote it, or distil again"
        )
    if header.get("body_sha256") != _hash(header.get("body")) or not header.keys() <= FIELDS:
        raise CsdmError(f"{path} is damaged: its header does not match its hash")
    tensors, _ = tensorfile.load(path, sealed=False)
    try:
        fields = adapter(_Header).validate_python(header["body"])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CsdmError(f"{path} has an incomplete header: {place}: {first['msg'].lower()}") from error
    distilled = _assemble(path, tensors, fields)
    if schema_of(distilled) != header["schema"]:
        raise CsdmError(f"{path} says schema {header['schema']}, which its contents are not")
    return distilled


def _assemble(path: Path, tensors: dict[str, Tensor], header: _Header) -> Distilled:
    soft = None
    if (kind := header.soft_labels) and "soft_labels" in tensors:
        soft = SoftLabels(tensors.pop("soft_labels"), kind.temperature, kind.teacher)
    labels = None
    if isinstance(header.decoding, Decoding) and tensors.keys() == {"images", "labels"}:
        labels = tensors.pop("labels")
    elif isinstance(header.decoding, Coded):
        labels = _labels_of_coded(path, tensors, header, header.decoding)
    if labels is None or (soft is None) != (kind is None):
        expected = {"images", "labels"} | ({"soft_labels"} if kind else set())
        raise CsdmError(f"{path} holds the tensors {sorted(tensors)} (expected {sorted(expected)})")
    return Distilled(
        stored=tensors,
        labels=labels,
        dataset=header.dataset,
        decoding=header.decoding,
        provenance=header.provenance,
        evaluation=header.evaluation,
        soft_labels=soft,
        value_range=header.value_range,
    )


def _labels_of_coded(path: Path, stored: dict[str, Tensor], header: _Header, decoding: Coded) -> Tensor:
    """Class after class, as many of each as the parameterisation says, once that is known to be sound."""
    shape = Shape(header.dataset.classes, len(header.dataset.mean), decoding.size)
    if problem := coding_fault(decoding, shape, stored):
        raise CsdmError(f"{path} is not a sound set: it has {problem}")
    found = parameterisation_of(decoding.parameterisation, shape, stored)
    return torch.arange(shape.classes).repeat_interleave(found.per_class)


def _hash(body: Any) -> str:
    return sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
