"""``csdm export``: a distilled set in another tool's format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from csdm_cli.artifacts import export as formats
from csdm_cli.artifacts.file import find_artifact, load_distilled
from csdm_cli.artifacts.joining import select_classes
from csdm_cli.artifacts.stored_evaluation import evaluation_beside, evaluation_in
from csdm_cli.display.console import emit
from csdm_cli.errors import UsageError
from csdm_cli.names import ExportFormat
from csdm_cli.safe_text import markup


def export(
    path: Path,
    to: ExportFormat,
    out: Path | None = None,
    json: bool = False,
    classes: Sequence[str] = (),
    evaluation: Path | None = None,
) -> None:
    """Write a distilled set in another tool's format, and print where and how.

    Args:
        path: the file, or the folder that holds ``distilled.safetensors``.
        to: the format.
        out: file or new folder to write (default: beside the file, named after it and the format).
        json: print one JSON object instead of lines.
        classes: the classes to write, in that order; none writes all.
        evaluation: a folder that evaluate wrote, for a card's accuracy (default: beside the set, if there is one).

    Raises:
        UsageError: if ``out`` would be overwritten, or a class is unknown.
        CsdmError: if the set cannot be read, or the format cannot take it.
    """
    if evaluation and (to is not ExportFormat.huggingface or classes):
        raise UsageError("--evaluation is for the card of a whole set: --to huggingface without --classes")
    file = find_artifact(path)
    distilled = load_distilled(file)
    place = out or default_out(file, to)
    formats.claim_export(to, place)
    found = None
    if evaluation:
        found = evaluation_in(evaluation, distilled)
    elif to is ExportFormat.huggingface and not classes:
        found = evaluation_beside(file, distilled)
    if to is ExportFormat.csdm and len(classes) == 1:
        raise UsageError("--classes: a set of csdm has at least two classes: name another, or export --to another form")
    if classes:
        distilled = select_classes(distilled, classes)
    done = formats.export(distilled, to, place, found)
    lines = [f"[green]✓[/] {markup(str(done.path))}", *(f"  {markup(line)}" for line in done.notes)]
    value = {"path": str(done.path), "format": str(to), "notes": list(done.notes)}
    emit(value, lambda: lines, as_json=json)


def default_out(file: Path, to: ExportFormat) -> Path:
    """``distilled.npz``, ``distilled.pt``, or a folder like ``distilled-imagefolder`` beside ``file``."""
    ending = f"-{to}" if to in formats.FOLDER_FORMATS else f".{to}"
    return file.with_name(file.stem + ending)
