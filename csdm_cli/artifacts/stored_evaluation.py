"""The results of ``csdm evaluate`` on a distilled set, read from the folder it wrote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csdm_cli.artifacts.distilled import Distilled, stored_sha256
from csdm_cli.artifacts.evaluation_rows import evaluation_rows
from csdm_cli.errors import CsdmError
from csdm_cli.storage.bounded import parsed_json


@dataclass(frozen=True)
class StoredEvaluation:
    """The files of an evaluation.

    Attributes:
        metrics: accuracies in percent, as :mod:`csdm_cli.artifacts.evaluation_rows` reads them.
        details: protocol, class names and every row's students.
    """

    metrics: dict[str, Any]
    details: dict[str, Any]

    def belongs_to(self, distilled: Distilled) -> bool:
        """Whether the students learnt from these very images."""
        measured = self.details.get("measured") or {}
        return bool(measured.get("images_sha256") == stored_sha256(distilled))


def read_evaluation(folder: Path) -> StoredEvaluation | None:
    """The results that evaluate wrote to ``folder``; None if it wrote nothing there.

    Raises:
        CsdmError: if the files are damaged.
    """
    places = folder / "metrics.json", folder / "details.json"
    if not all(place.is_file() for place in places):
        return None
    try:
        metrics, details = (parsed_json(place.read_bytes()) for place in places)
        if "accuracy" not in metrics:
            return None
        details["rows"], details["protocol"]  # what its readers rely on
        for row in evaluation_rows(metrics):
            row.scores["accuracy"]["mean"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CsdmError(f"{folder} holds damaged results: run csdm evaluate again") from error
    return StoredEvaluation(metrics, details)


def evaluation_in(folder: Path, distilled: Distilled) -> StoredEvaluation:
    """The results in ``folder``, which must be those of ``distilled``.

    Raises:
        CsdmError: if there are none, or they are another set's.
    """
    found = read_evaluation(folder)
    if found is None:
        raise CsdmError(f"{folder} holds no results of csdm evaluate")
    if not found.belongs_to(distilled):
        raise CsdmError(f"{folder} holds the results of another distilled set")
    return found


def evaluation_beside(file: Path, distilled: Distilled) -> StoredEvaluation | None:
    """The results of ``distilled`` where evaluate leaves them: in ``evaluate/`` beside the file or its folder."""
    for folder in (file.parent / "evaluate", file.parent.parent / "evaluate"):
        found = read_evaluation(folder) if folder.is_dir() else None
        if found is not None and found.belongs_to(distilled):
            return found
    return None
