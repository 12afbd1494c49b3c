"""The results of ``csdm evaluate`` on a distilled set, read from the folder it wrote, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csdm_cli.artifacts.distilled import Distilled, set_hashes
from csdm_cli.artifacts.evaluation_rows import evaluation_rows, own_row
from csdm_cli.artifacts.file import FILE_NAME, load_distilled
from csdm_cli.errors import CsdmError
from csdm_cli.names import LabelKind
from csdm_cli.storage.bounded import parsed_json, read_json

ACROSS = "protocol.json"  # where cross-arch names the set, beside each protocol


@dataclass(frozen=True)
class StoredEvaluation:
    """The files of an evaluation.

    Attributes:
        metrics: accuracies in percent, as :mod:`csdm_cli.artifacts.evaluation_rows` reads them.
        details: protocol, class names and every row's students.
    """

    metrics: dict[str, Any]
    details: dict[str, Any]

    @property
    def own(self) -> dict[str, Any]:
        """The row of the set itself in ``details``."""
        rows = self.details["rows"]
        found: dict[str, Any] = rows[own_row(rows, self.metrics.get("method", ""), self.metrics.get("labels", "hard"))]
        return found

    def belongs_to(self, distilled: Distilled) -> bool:
        """Whether this very set was evaluated: these images with these soft labels, or without any.

        Whatever labels the students learnt from, a twin with other soft labels is another set. Files of earlier
        versions do not name the soft labels. There, a set without any is taken for the one that was evaluated unless
        students learnt from soft labels (those of a twin's hard labels learnt the same; where teachers gave labels,
        nothing tells it from a twin); a set with soft labels only if settings and teachers are what the file tells.
        """
        measured = self.details.get("measured") or {}
        if "soft_labels_sha256" in measured:
            return _is_named(distilled, measured)
        own = set_hashes(distilled)
        if measured.get("images_sha256") != own["images_sha256"]:
            return False
        if own["soft_labels_sha256"] is None:
            return bool(measured.get("labels") != LabelKind.soft)
        return bool(measured.get("config") == distilled.provenance.config)


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
        found = StoredEvaluation(metrics, details)
        found.own, details["protocol"]  # what its readers rely on
        for row in evaluation_rows(metrics):
            row.scores["accuracy"]["mean"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CsdmError(f"{folder} holds damaged results: run csdm evaluate again") from error
    return found


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


def is_of_a_replaced_set(folder: Path) -> bool:
    """Whether ``folder``, where evaluate or cross-arch leaves results, has those of another set than lies beside it.

    Files of cross-arch by earlier versions do not name their set, and pass for those of any.

    Raises:
        CsdmError: if they, or the set, are damaged.
    """
    folder = folder.absolute()  # "." has a name, too
    file = folder.parent / FILE_NAME
    if not file.is_file():
        return False
    if folder.name == "evaluate":
        found = read_evaluation(folder)
        return found is not None and not found.belongs_to(load_distilled(file))
    measured = _measured_across(folder) if folder.name == "cross_arch" else None
    return measured is not None and not _is_named(load_distilled(file), measured)


def _is_named(distilled: Distilled, measured: Mapping[str, Any]) -> bool:
    """Whether results name this very set as the one that was ``measured``."""
    return all(measured.get(name) == value for name, value in set_hashes(distilled).items())


def _measured_across(folder: Path) -> Mapping[str, Any] | None:
    """The hashes of the set that cross-arch measured for the results in ``folder``; None if no file tells."""
    try:
        protocols = read_json(folder / ACROSS, "run csdm cross-arch again")
        return next((dict(told["measured"]) for told in protocols.values() if "measured" in told), None)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, AttributeError) as error:
        raise CsdmError(f"{folder} holds damaged results: run csdm cross-arch again") from error


def evaluation_beside(file: Path, distilled: Distilled) -> StoredEvaluation | None:
    """The results of ``distilled`` where evaluate leaves them: in ``evaluate/`` beside the file or its folder."""
    for folder in (file.parent / "evaluate", file.parent.parent / "evaluate"):
        found = read_evaluation(folder) if folder.is_dir() else None
        if found is not None and found.belongs_to(distilled):
            return found
    return None
