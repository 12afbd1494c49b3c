"""``csdm make-lt``: from a dataset to a long-tailed set, its development set and its test set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from csdm_cli.data.store import (
    DATA_ROOT,
    FILES,
    LongTail,
    Manifest,
    is_in,
)
from csdm_cli.display.class_chart import count_chart
from csdm_cli.display.console import emit, note
from csdm_cli.names import ImbalanceProfile
from csdm_cli.runs.long_tail import make, plan
from csdm_cli.runs.runtime import Runtime
from csdm_cli.safe_text import counted, typed
from csdm_cli.settings import sections
from csdm_cli.storage import outputs
from csdm_cli.tracking.tracker import open_tracker

if TYPE_CHECKING:
    from rich.console import RenderableType


def run(settings: sections.MakeLt, runtime: Runtime, *, out: Path | None) -> None:
    """Write the long-tailed set to ``out`` and show its class sizes."""
    planned = plan(settings, out, quiet=runtime.quiet)
    folder = planned.folder
    outputs.claim_folder(folder, FILES)  # before anything is tracked
    described = {"make_lt": planned.settings.model_dump(mode="json")}
    name = f"make-lt {folder.name}"
    with open_tracker(runtime.tracking, "make-lt", params=described, name=name, quiet=runtime.quiet) as tracker:
        made = make(planned, quiet=runtime.quiet)
        longtail, manifest = made.longtail, made.longtail.manifest
        tracker.tags({"dataset": manifest.dataset})
        for context, fingerprint in manifest.fingerprints.items():
            tracker.dataset(manifest.dataset, fingerprint, context)
        tracker.metrics({"images": sum(manifest.counts), "head": max(manifest.counts), "tail": min(manifest.counts)})
        tracker.artifact(longtail.folder / "manifest.json")
    emit(
        summary(longtail.folder, manifest),
        lambda: [_chart(manifest)],
        as_json=runtime.json,
    )
    if made.replaced:
        note(f"warning: {folder} held other images, which are gone; --out DIR keeps sets apart")
    note("\n".join(_outcome(longtail)), quiet=runtime.quiet)


def summary(folder: Path, manifest: Manifest) -> dict[str, Any]:
    """The set made, as JSON values."""
    return {
        "folder": str(folder),
        "dataset": manifest.dataset,
        "images": sum(manifest.counts),
        "class_names": list(manifest.class_names),
        "counts": list(manifest.counts),
        "imbalance": max(manifest.counts) / min(manifest.counts),
        "dev_per_class": manifest.dev_per_class,
        "test": sum(manifest.test_counts),
        "fingerprints": dict(manifest.fingerprints),
    }


def _chart(manifest: Manifest) -> RenderableType:
    """Class sizes in label order, which is from head to tail where the tail was drawn; else by size."""
    order = list(range(manifest.classes))
    if manifest.profile == ImbalanceProfile.as_is:
        order = sorted(order, key=lambda label: -manifest.counts[label])
    return count_chart([manifest.class_names[label] for label in order], [manifest.counts[label] for label in order])


def _outcome(longtail: LongTail) -> list[str]:
    manifest, folder = longtail.manifest, longtail.folder
    dev = f", {manifest.dev_per_class * manifest.classes:,} in the development set" if manifest.dev_per_class else ""
    found = "" if is_in(folder, DATA_ROOT) else f" {typed(folder)}"
    train, test = counted(sum(manifest.counts), "training image"), counted(sum(manifest.test_counts), "test image")
    return [
        f"wrote {folder}: {train}{dev}, {test}",
        _tail(manifest),
        f"next: csdm distill{found} --ipc 10",
    ]


def _tail(manifest: Manifest) -> str:
    sizes = sorted(manifest.counts, reverse=True)
    if sizes[0] == sizes[-1]:
        return f"every class has {counted(sizes[0], 'image')}: no long tail (β = 1)"
    largest, beta = counted(sizes[0], "image"), sizes[0] / sizes[-1]
    return f"{largest} in the largest class, {sizes[-1]:,} in the smallest: β = {beta:.4g}"
