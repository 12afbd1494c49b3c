"""``csdm merge``: one distilled set of several that share no class."""

from __future__ import annotations

from pathlib import Path

from csdm_cli.artifacts.file import DISTILLED, FILE_NAME, find_artifact, load_distilled
from csdm_cli.artifacts.grid import grid_path, save_with_grid
from csdm_cli.artifacts.joining import merge
from csdm_cli.display.console import emit, note
from csdm_cli.errors import UsageError
from csdm_cli.runs.distill import ARTIFACTS
from csdm_cli.runs.long_tail import given
from csdm_cli.runs.provenance import dataset_info
from csdm_cli.runs.runtime import Runtime
from csdm_cli.safe_text import counted, markup, typed
from csdm_cli.storage import kinds, outputs


def run(runtime: Runtime, *, files: list[Path], data: Path | None, out: Path | None) -> None:
    """Write the joined set with its picture to ``out``, and print what it is.

    Raises:
        UsageError: if there are fewer than two sets, they do not fit together, or ``out`` holds a set.
        CsdmError: if a set cannot be read.
    """
    if len(files) < 2:
        raise UsageError("merge takes two or more distilled sets")
    target = (out or ARTIFACTS / "merged") / FILE_NAME
    if target.exists():
        raise UsageError(f"{target} exists: choose another --out, so that nothing is overwritten")
    outputs.claim_files(target.parent, {FILE_NAME: DISTILLED, grid_path(target).name: kinds.PNG})
    longtail = given(data, quiet=runtime.quiet) if data else None
    joined = merge(
        [load_distilled(find_artifact(file)) for file in files], dataset_info(longtail) if longtail else None
    )
    distilled = joined.distilled
    save_with_grid(target, distilled)
    result = {
        "file": str(target),
        "images": len(distilled.labels),
        "class_names": list(distilled.dataset.class_names),
        "ipc": list(distilled.ipc),
        "labels": str(distilled.default_labels),
        "notes": list(joined.notes),
        "grid": str(grid_path(target)),
    }
    lines = [
        f"{target}: {counted(len(distilled.labels), 'image')} of {distilled.dataset.classes} classes,"
        f" {distilled.ipc_text} per class",
        *(f"  {text}" for text in joined.notes),
        f"picture: {grid_path(target)}",
    ]
    emit(result, lambda: [markup(text) for text in lines], as_json=runtime.json)
    known = f" --data {typed(longtail.folder)}" if longtail else " --data DIR, a long-tailed set of these classes"
    note(f"next: csdm evaluate {typed(target.parent)}{known}", quiet=runtime.quiet)
