"""``csdm export``: a distilled set in another tool's format."""

from __future__ import annotations

from pathlib import Path

from csdm_cli.artifacts import export as formats
from csdm_cli.artifacts.file import find_artifact, load_distilled
from csdm_cli.console import emit
from csdm_cli.display.safe_text import markup
from csdm_cli.names import ExportFormat


def export(path: Path, to: ExportFormat, out: Path | None = None, json: bool = False) -> None:
    """Write a distilled set in another tool's format, and print where and how.

    Args:
        path: the file, or the folder that holds ``distilled.safetensors``.
        to: the format.
        out: file or new folder to write (default: beside the file, named after it and the format).
        json: print one JSON object instead of lines.

    Raises:
        UsageError: if ``out`` would be overwritten.
        CsdmError: if the set cannot be read, or the format cannot take it.
    """
    file = find_artifact(path)
    formats.claim_export(to, out or default_out(file, to))
    done = formats.export(load_distilled(file), to, out or default_out(file, to))
    lines = [f"[green]✓[/] {markup(str(done.path))}", *(f"  {markup(line)}" for line in done.notes)]
    value = {"path": str(done.path), "format": str(to), "notes": list(done.notes)}
    emit(value, lambda: lines, as_json=json)


def default_out(file: Path, to: ExportFormat) -> Path:
    """``distilled.npz``, ``distilled.pt``, ``distilled-imagefolder`` or ``distilled-ddranking`` beside ``file``."""
    ending = f"-{to}" if to in formats.FOLDER_FORMATS else f".{to}"
    return file.with_name(file.stem + ending)
