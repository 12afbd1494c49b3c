"""Cost and provenance of a distilled set as rows of names and texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from csdm_cli.artifacts.accounting import storage_of
from csdm_cli.artifacts.distilled import Coded, Distilled
from csdm_cli.artifacts.joining import own_and_parts
from csdm_cli.artifacts.run_record import read_sidecar
from csdm_cli.display.sizes import sized
from csdm_cli.runs.whole_run import whole_seconds
from csdm_cli.safe_text import counted
from csdm_cli.storage.bounded import parsed_json

Rows = tuple[tuple[str, str], ...]


def cost_of(file: Path, distilled: Distilled, evaluated_in: Sequence[Path]) -> Rows:
    """Storage beside that of the real images, and time, memory and machine where they were recorded."""
    data = distilled.dataset
    real = sum(data.counts) * len(data.mean) * distilled.decoding.size**2
    storage = storage_of(distilled)
    form = distilled.decoding.made_of_in_full if isinstance(distilled.decoding, Coded) else distilled.kind
    share = f", {100 * storage.bytes / real:.2g} % of the {sized(real)} of all real images" if real else ""
    rows = [
        ("images and labels", f"{sized(storage.bytes)} as stored{share}"),
        ("stored as", f"{form}, {storage.numbers:,} numbers"),
        ("IPC-equivalent", f"{storage.ipc_equivalent:.2f} images of 8 bits a pixel per class"),
    ]
    if record := read_sidecar(file):
        machine = record.machine.gpu or f"{record.machine.processor}, {counted(record.machine.threads, 'thread')}"
        steps = f" for {counted(record.iterations, 'step')}" if record.iterations else ""
        origin = distilled.provenance
        if (seconds := whole_seconds(record, origin.method, origin.config)) is not None:
            rows.append(("distilling", f"{seconds:,.0f} s{steps}, without teachers"))
        rows.append(("memory", f"{sized(record.peak_memory_bytes)} at the peak"))
        rows.append(("machine", machine))
    for folder in evaluated_in:
        seconds = _evaluation_seconds(folder)
        if seconds is not None:
            rows.append(("evaluation", f"{seconds:,.0f} s, in {folder}"))
    return tuple(rows)


def provenance_of(file: Path, distilled: Distilled) -> Rows:
    """Method, settings, data and code, with the hash of the file."""
    origin, data = distilled.provenance, distilled.dataset
    rows = [
        ("file", str(file)),
        ("sha256", sha256(file.read_bytes()).hexdigest()),
        ("method", f"{origin.method}, seed {origin.seed}"),
        ("data", f"{data.name}, {counted(sum(data.counts), 'image')} of {counted(data.classes, 'class', 'classes')}"),
        ("training set", data.train_fingerprint or "unknown"),
        ("code", f"{origin.source}; " + ", ".join(f"{name} {text}" for name, text in origin.versions.items())),
    ]
    if (record := read_sidecar(file)) and record.code:
        rows.append(("commit", record.code.commit + (" with local changes" if record.code.dirty else "")))
    own, parts = own_and_parts(origin.config)
    rows += [(name, _text(value)) for name, value in own.items() if value not in (None, {}, [])]
    return (*rows, *parts.items())


def _evaluation_seconds(folder: Path) -> float | None:
    try:
        return float(parsed_json((folder / "evaluate.run.json").read_bytes())["evaluate"]["wall_seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a record of cost is good to have, no more


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items() if item not in (None, {}, []))
    return value if isinstance(value, str) else json.dumps(value)
