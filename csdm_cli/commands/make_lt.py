"""``csdm make-lt``: from a dataset to a long-tailed set, its development set and its test set."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from csdm_cli import config, places
from csdm_cli.commands.runtime import Runtime
from csdm_cli.console import emit, note
from csdm_cli.data.build import build_longtail, open_source
from csdm_cli.data.chart import count_chart
from csdm_cli.data.sources import holds_images
from csdm_cli.data.sources.vision import will_download
from csdm_cli.data.store import (
    DATA_ROOT,
    FILES,
    MANIFEST_FILE,
    LongTail,
    Manifest,
    is_in,
    newest_longtail,
    open_longtail,
)
from csdm_cli.errors import CsdmError
from csdm_cli.keys import content_key
from csdm_cli.names import ClassOrder, Profile, Source, Split
from csdm_cli.storage import outputs
from csdm_cli.tracking import open_tracker

READING = (
    *("classes", "channels", "background", "image_column", "label_column", "group_by"),
    *("train_list", "test_list"),
)


def run(settings: config.MakeLt, runtime: Runtime, *, out: Path | None) -> None:
    """Write the long-tailed set to ``out`` and show its class sizes."""
    folder = out or default_folder(settings)
    outputs.claim_folder(folder, FILES)
    cache, before = places.cache_dir("datasets"), _fingerprints(folder)
    if will_download(settings.dataset, settings.data_dir, cache):
        note(f"downloading {settings.dataset} to {cache}, once", quiet=runtime.quiet)
    described = {"make_lt": settings.model_dump(mode="json")}
    name = f"make-lt {folder.name}"
    with open_tracker(runtime.tracking, "make-lt", params=described, name=name, quiet=runtime.quiet) as tracker:
        longtail = build_longtail(settings, folder, cache, partial(note, quiet=runtime.quiet))
        manifest = longtail.manifest
        tracker.tags({"dataset": manifest.dataset})
        for context, fingerprint in manifest.fingerprints.items():
            tracker.dataset(manifest.dataset, fingerprint, context)
        tracker.metrics({"images": sum(manifest.counts), "head": max(manifest.counts), "tail": min(manifest.counts)})
        tracker.artifact(longtail.folder / "manifest.json")
    emit(
        summary(longtail.folder, manifest),
        lambda: [count_chart(manifest.class_names, manifest.counts)],
        as_json=runtime.json,
    )
    if before not in (None, manifest.fingerprints):
        note(f"warning: {folder} held other images, which are gone; --out DIR keeps sets apart")
    note("\n".join(_outcome(longtail)), quiet=runtime.quiet)


def find_or_make(settings: config.MakeLt, *, quiet: bool = False) -> LongTail:
    """The set in ``data/`` that is named for ``settings``, made if it is missing.

    A folder of one's own is looked at again: another one of that name, or other files in it, make another set.

    Raises:
        UsageError, CsdmError: if it cannot be made.
    """
    folder, cache = default_folder(settings), places.cache_dir("datasets")
    with suppress(CsdmError):
        made = open_longtail(folder)
        if settings.dataset is not Source.folder:
            return made
        if made.manifest.source_fingerprint == open_source(settings, cache).fingerprint:
            return made
    note(f"making {folder}", quiet=quiet)
    return build_longtail(settings, folder, cache, partial(note, quiet=quiet))


def given_or_newest(data: Path | None, *, quiet: bool = False) -> LongTail:
    """The long-tailed set in ``data``, or made on the way of the images in it; without ``data`` the newest there is.

    Raises:
        UsageError, CsdmError: if there is none, and none can be made.
    """
    if data is None:
        return newest_longtail()
    if holds_images(data) and not (data / MANIFEST_FILE).exists():
        return find_or_make(config.MakeLt(dataset=Source.folder, data_dir=data), quiet=quiet)
    return open_longtail(data)


def default_folder(settings: config.MakeLt) -> Path:
    """``data/cifar10-lt200`` and the like; whatever is not the default is part of the name."""
    name = settings.dataset.value
    if settings.dataset is Source.folder and settings.data_dir is not None:
        name = settings.data_dir.resolve().stem if settings.data_dir.is_file() else settings.data_dir.resolve().name
    short = {Profile.exponential: "lt", Profile.explicit: f"counts{content_key(settings.counts)[:6]}"}
    tail = short.get(settings.profile, settings.profile.value)
    if settings.profile not in (Profile.balanced, Profile.explicit, Profile.as_is):
        tail += f"{settings.imbalance:g}"
    parts = [name, tail]
    parts += [f"n{settings.n_max}"] if settings.n_max else []
    parts += [f"dev{settings.dev}"] if settings.dev else []
    parts += [f"size{settings.size}"] if settings.size else []
    parts += [settings.split.value] if settings.split is not Split.random else []
    parts += [settings.class_order.value] if settings.class_order is not ClassOrder.natural else []
    parts += [f"test{settings.test_share:g}"] if settings.test_share else []
    parts += [f"test{settings.test_per_class}each"] if settings.test_per_class else []
    own = settings.model_dump(mode="json", include=set(READING), exclude_defaults=True)
    parts += [f"read{content_key(own)[:6]}"] if own else []
    parts += [f"seed{settings.seed}"] if settings.seed else []
    return DATA_ROOT / "-".join(parts)


def summary(folder: Path, manifest: Manifest) -> dict[str, Any]:
    """What was made, as JSON values."""
    return {
        "folder": str(folder),
        "dataset": manifest.dataset,
        "images": sum(manifest.counts),
        "class_names": list(manifest.class_names),
        "counts": list(manifest.counts),
        "dev_per_class": manifest.dev_per_class,
        "test": sum(manifest.test_counts),
        "fingerprints": dict(manifest.fingerprints),
    }


def _fingerprints(folder: Path) -> dict[str, str] | None:
    """Of the set that ``folder`` holds before it is written; None if it holds none."""
    try:
        return open_longtail(folder).manifest.fingerprints
    except CsdmError:
        return None


def _outcome(longtail: LongTail) -> list[str]:
    manifest, folder = longtail.manifest, longtail.folder
    dev = f", {manifest.dev_per_class * manifest.classes:,} in the development set" if manifest.dev_per_class else ""
    found = "" if is_in(folder, DATA_ROOT) else f" {folder}"
    return [
        f"wrote {folder}: {sum(manifest.counts):,} training images{dev}, {sum(manifest.test_counts):,} test images",
        f"next: csdm distill{found} --ipc 10",
    ]
