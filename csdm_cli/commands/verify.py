"""``csdm verify``: is a distilled set whole and sound?"""

from __future__ import annotations

from pathlib import Path

from csdm_cli.artifacts.file import Coded, find_artifact, read_distilled, schema_of
from csdm_cli.artifacts.validation import findings
from csdm_cli.display.console import emit
from csdm_cli.errors import CsdmError
from csdm_cli.safe_text import counted, markup


def verify(path: Path, json: bool = False) -> None:
    """Check hashes, shapes and values, and print each check.

    Args:
        path: the file, or the folder that holds ``distilled.safetensors``.
        json: print one JSON object instead of lines.

    Raises:
        CsdmError: if a check fails; the ones before it are printed.
    """
    file = find_artifact(path)
    distilled = read_distilled(file)
    passed = [f"schema {schema_of(distilled)}, complete header", "header and tensors match their hashes"]
    problem = None
    for finding in findings(distilled):
        if finding.problem:
            problem = finding.problem
            break
        passed.append(finding.title)
    data = distilled.dataset
    lines = [f"[green]✓[/] {title}" for title in passed]
    if not problem:
        stored = "decoded" if isinstance(distilled.decoding, Coded) else "stored"
        lines.append(
            f"{markup(str(file))} is sound: {counted(len(distilled.labels), f'{stored} image')} of"
            f" {counted(data.classes, 'class', 'classes')} "
            f"({markup(data.name)}, {markup(distilled.provenance.method)})"
        )
    value = {"file": str(file), "sound": not problem, "passed": passed, "problem": problem}
    emit(value, lambda: lines, as_json=json)
    if problem:
        raise CsdmError(f"{file} is not a sound set: it has {problem}; distil it again")
