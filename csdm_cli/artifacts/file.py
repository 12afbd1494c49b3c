"""``distilled.safetensors``: the one file a distillation run leaves.

Tensors ``images``, ``labels`` and, if any, ``soft_labels``; one JSON header with all the rest. Both are
guarded by hashes. The same run gives the same bytes: what differs between identical runs (time, machine,
commit) goes into a sidecar, see ``sidecar.py``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from csdm_cli.artifacts.distilled import DatasetInfo, Decoding, Distilled, Provenance, SoftLabels
from csdm_cli.artifacts.validation import first_problem
from csdm_cli.errors import CsdmError
from csdm_cli.images.initial import to_uint8
from csdm_cli.storage import kinds, outputs, tensorfile

__all__ = [
    "FILE_NAME",
    "SCHEMA",
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
SCHEMA = 1
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
    decoding: Decoding
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
    tensors = {"images": distilled.images, "labels": distilled.labels}
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
    body: dict[str, Any] = TypeAdapter(_Header).dump_python(header, mode="json")
    tensorfile.save(path, tensors, {"kind": KIND, "schema": SCHEMA, "body": body, "body_sha256": _hash(body)})


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
        raise CsdmError(f"{error}; `csdm verify {path}` checks it again") from error
    if problem:
        raise CsdmError(f"{path} is not a sound set: it has {problem}; `csdm verify {path}` lists the checks")
    return distilled


def read_distilled(path: Path) -> Distilled:
    """Read a set and compare all hashes, without asking whether its contents make sense.

    Raises:
        CsdmError: if the file is missing, damaged or of another schema.
    """
    header = tensorfile.read_header(path, sealed=False)  # the body has a hash of its own
    if header.get("kind") != KIND:
        raise CsdmError(f"{path} was written by csdm, but is not a distilled set")
    if header.get("schema") != SCHEMA:
        raise CsdmError(
            f"{path} has schema {header.get('schema')!r}, this csdm reads schema {SCHEMA}: "
            "use the csdm version that wrote it, or distil again"
        )
    if header.get("body_sha256") != _hash(header.get("body")) or not header.keys() <= FIELDS:
        raise CsdmError(f"{path} is damaged: its header does not match its hash")
    tensors, _ = tensorfile.load(path, sealed=False)
    try:
        fields = TypeAdapter(_Header).validate_python(header["body"])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CsdmError(f"{path} has an incomplete header: {place}: {first['msg'].lower()}") from error
    return _assemble(path, tensors, fields)


def _assemble(path: Path, tensors: dict[str, Tensor], header: _Header) -> Distilled:
    expected = {"images", "labels"} | ({"soft_labels"} if header.soft_labels else set())
    if set(tensors) != expected:
        raise CsdmError(f"{path} holds the tensors {sorted(tensors)} (expected {sorted(expected)})")
    soft = None
    if kind := header.soft_labels:
        soft = SoftLabels(tensors["soft_labels"], kind.temperature, kind.teacher)
    return Distilled(
        images=tensors["images"],
        labels=tensors["labels"],
        dataset=header.dataset,
        decoding=header.decoding,
        provenance=header.provenance,
        evaluation=header.evaluation,
        soft_labels=soft,
        value_range=header.value_range,
    )


def _hash(body: Any) -> str:
    return sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
