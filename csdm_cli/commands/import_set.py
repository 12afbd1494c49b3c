"""``csdm import``: another tool's distilled set as one of csdm."""

from __future__ import annotations

from pathlib import Path

from csdm_cli.artifacts.file import DISTILLED, FILE_NAME
from csdm_cli.artifacts.grid import grid_path, save_with_grid
from csdm_cli.display.console import emit, note
from csdm_cli.errors import UsageError
from csdm_cli.runs.distill import ARTIFACTS
from csdm_cli.runs.evaluating import Foreign, bring_in, tell_empty_classes
from csdm_cli.runs.long_tail import given_or_newest
from csdm_cli.runs.runtime import Runtime
from csdm_cli.safe_text import counted, markup, typed
from csdm_cli.storage import kinds, outputs


def run(runtime: Runtime, *, foreign: Foreign, data: Path | None, out: Path | None) -> None:
    """Write the set with its picture to ``out``, and print what was found and how it was read.

    Raises:
        UsageError: if an option is missing or does not fit, or ``out`` holds another set.
        CsdmError: if the set cannot be read, or does not fit the long-tailed set.
    """
    longtail = given_or_newest(data, quiet=runtime.quiet)
    target = (out or default_folder(foreign.images)) / FILE_NAME
    if target.exists():
        raise UsageError(f"{target} exists: choose another --out, so that nothing is overwritten")
    outputs.claim_files(target.parent, {FILE_NAME: DISTILLED, grid_path(target).name: kinds.PNG})
    distilled = bring_in(foreign, longtail)
    save_with_grid(target, distilled)
    notes = distilled.provenance.config["notes"]
    result = {
        "file": str(target),
        "images": len(distilled.labels),
        "classes": distilled.dataset.classes,
        "ipc": list(distilled.ipc),
        "labels": str(distilled.default_labels),
        "notes": notes,
        "grid": str(grid_path(target)),
    }
    line = (
        f"{target}: {counted(len(distilled.labels), 'image')} of {distilled.dataset.classes} classes,"
        f" {distilled.ipc_text} per class, {distilled.default_labels} labels"
    )
    lines = [line, *(f"  {text}" for text in notes), f"picture: {grid_path(target)}"]
    tell_empty_classes(distilled, quiet=runtime.quiet)
    emit(result, lambda: [markup(text) for text in lines], as_json=runtime.json)
    words = f"csdm evaluate {typed(target.parent)} --data {typed(longtail.folder)}"
    note(f"next: look at the picture, then {words}", quiet=runtime.quiet)


def default_folder(images: Path) -> Path:
    """``artifacts/imported-NAME``, after the file or folder that was read."""
    name = images.resolve().name if images.is_dir() else images.stem
    return ARTIFACTS / f"imported-{name}"
