"""``csdm show``: what a distilled set is, and its picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import Any

from rich.text import Text

from csdm_cli.artifacts.accounting import storage_of
from csdm_cli.artifacts.file import Coded, Distilled, find_artifact, load_distilled, schema_of
from csdm_cli.artifacts.grid import grid_path, save_grid
from csdm_cli.artifacts.joining import own_and_parts
from csdm_cli.artifacts.run_record import RunRecord, read_sidecar
from csdm_cli.display.console import emit, note
from csdm_cli.display.tables import TextTable, facts_table
from csdm_cli.errors import CsdmError
from csdm_cli.runs.whole_run import whole_seconds
from csdm_cli.safe_text import counted, shown
from csdm_cli.storage import kinds, outputs

Rows = list[tuple[str, str]]  # name, text
MOST_CLASSES = 20  # with more, only the largest and the smallest class are named


def show(path: Path, png: Path | None = None, json: bool = False) -> None:
    """Print what a distilled set is, and write its picture.

    Args:
        path: the file, or the folder that holds ``distilled.safetensors``.
        png: where the picture goes (default: ``<stem>.png`` beside the file).
        json: print one JSON object instead of a table.

    Raises:
        UsageError, CsdmError: if ``png`` cannot be written or would replace what csdm did not write.
        CsdmError: if the set cannot be read.
    """
    if png:
        outputs.claim_file(png, kinds.PNG, "--png")
    file = find_artifact(path)
    distilled = load_distilled(file)
    record = read_sidecar(file)
    png = _draw(distilled, png or grid_path(file), chosen=png is not None)
    sections: dict[str, Rows] = {
        "set": [("file", str(file)), *_contents(distilled), *([("picture", str(png))] if png else [])],
        "evaluation": _settings(distilled.evaluation, plain="protocol"),
        "provenance": _provenance(file, distilled, record),
    }
    value = summary(file, distilled, record) | {"png": str(png) if png else None}
    emit(value, lambda: [_table({title: rows for title, rows in sections.items() if rows})], as_json=json)


def _draw(distilled: Distilled, png: Path, *, chosen: bool) -> Path | None:
    """Write the picture, and return where; None if its place was not ``chosen`` by the user and is taken."""
    try:
        save_grid(distilled, png)
    except CsdmError as error:
        if chosen or kinds.PNG.wrote(png) or not png.exists():
            raise
        note(f"no picture: {error}".replace("--out", "--png"))
        return None
    return png


def summary(file: Path, distilled: Distilled, record: RunRecord | None) -> dict[str, Any]:
    """All that is known of a set, as JSON values."""
    labels: dict[str, Any] = {"kind": distilled.default_labels.value}
    if soft := distilled.soft_labels:
        labels |= {"temperature": soft.temperature, "teacher": soft.teacher}
    return {
        "file": str(file),
        "bytes": file.stat().st_size,
        "sha256": _file_hash(file),
        "schema": schema_of(distilled),
        "images": {
            "shape": list(distilled.images.shape),
            "dtype": _dtype(distilled),
            "value_range": list(distilled.value_range),
            "ipc": list(distilled.ipc),
            "decoded": len(distilled.decoded_labels()),
        },
        "parameterization": distilled.kind,
        "storage": asdict(storage_of(distilled)),
        "labels": labels,
        "dataset": asdict(distilled.dataset),
        "decoding": asdict(distilled.decoding),
        "evaluation": distilled.evaluation,
        "provenance": asdict(distilled.provenance),
        "run": asdict(record) if record else None,
    }


def _table(sections: Mapping[str, Rows]) -> TextTable:
    table = facts_table()
    for number, (title, rows) in enumerate(sections.items()):
        if number:
            table.add_row()
        table.add_row(Text(title, style="bold cyan not dim"))
        for name, text in rows:
            table.add_row(f"  {name}", text)
    return table


def _contents(distilled: Distilled) -> Rows:
    data = distilled.dataset
    labels = "hard"
    if soft := distilled.soft_labels:
        labels = f"soft, temperature {soft.temperature:g}, by {soft.teacher}; hard labels are stored too"
    low, high = distilled.value_range
    classes = counted(data.classes, "class", "classes")
    return [
        (
            "dataset",
            f"{data.name}, {classes}, {counted(sum(data.counts), 'real image')}, {_counts(distilled)}",
        ),
        ("images", _images(distilled)),
        ("storage", storage_of(distilled).text),
        *([("empty", f"no image of {', '.join(distilled.empty_classes)}")] if distilled.empty_classes else []),
        ("labels", labels),
        (
            "pixels",
            f"{low:g} to {high:g}; networks expect them normalised by mean {_list(data.mean)}, std {_list(data.std)}",
        ),
    ]


def _images(distilled: Distilled) -> str:
    decoding, count = distilled.decoding, len(distilled.labels)
    shape = f"{distilled.shape.channels}×{decoding.stored_size}×{decoding.stored_size}"
    if isinstance(decoding, Coded):
        return f"{count:,} of {shape} decoded from {decoding.made_of_in_full} in the storage of IPC {decoding.ipc}"
    images = f"{count:,} stored, {distilled.ipc_text} per class, {shape} {_dtype(distilled)}"
    if decoding.factor > 1 or decoding.stored_size != decoding.size:
        images += (
            f"; decoded (factor {decoding.factor}, {decoding.mode}) to "
            f"{count * decoding.per_image:,} training images of {decoding.size}×{decoding.size}"
        )
    return images


def _counts(distilled: Distilled) -> str:
    data = distilled.dataset
    named = list(zip(data.class_names, data.counts, strict=True))
    if data.classes > MOST_CLASSES:
        (most, largest), (least, smallest) = (choose(named, key=lambda pair: pair[1]) for choose in (max, min))
        return f"from {shown(most, 80)} {largest:,} to {shown(least, 80)} {smallest:,}"
    return ", ".join(f"{shown(name, 80)} {count:,}" for name, count in named)


def _provenance(file: Path, distilled: Distilled, record: RunRecord | None) -> Rows:
    origin, data = distilled.provenance, distilled.dataset
    rows = [
        ("method", f"{origin.method}, seed {origin.seed}"),
        *_settings(origin.config, plain="settings"),
        ("data", f"train {data.train_fingerprint[:16] or 'unknown'}, test {data.test_fingerprint[:16] or 'unknown'}"),
        ("code", f"source {origin.source}, " + ", ".join(f"{name} {text}" for name, text in origin.versions.items())),
        ("file hash", f"sha256 {_file_hash(file)[:16]}, {file.stat().st_size:,} bytes, schema {schema_of(distilled)}"),
    ]
    if record:
        where = record.machine.gpu or f"{record.machine.processor}, threads {record.machine.threads}"
        seconds = whole_seconds(record, origin.method, origin.config)
        took = "" if seconds is None else f" {seconds:,.0f} s,"
        rows.append(("run", f"{record.finished},{took} {record.peak_memory_bytes / 2**30:.2f} GiB, {where}"))
        if record.code:
            rows.append(("commit", record.code.commit[:12] + (" with local changes" if record.code.dirty else "")))
    return rows


def _settings(settings: Mapping[str, Any], plain: str) -> Rows:
    """Nested settings and the sets that a set was made of get a row each, all others share one called ``plain``."""
    own, parts = own_and_parts(settings)
    single = {name: value for name, value in own.items() if not isinstance(value, dict)}
    rows = [(plain, _inline(single))] if single else []
    rows += [(name, _inline(value)) for name, value in own.items() if isinstance(value, dict) and value]
    return [*rows, *parts.items()]


def _inline(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_text(value)}" for name, value in settings.items() if value not in (None, {}, []))


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return f"({_inline(value)})"
    return value if isinstance(value, str) else dumps(value)


def _list(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.4g}" for value in values)


def _dtype(distilled: Distilled) -> str:
    return str(distilled.images.dtype).removeprefix("torch.")


def _file_hash(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()
