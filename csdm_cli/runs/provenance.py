"""The origin that an artifact and a ledger row tell: the long-tailed set and the recipe they came from."""

from __future__ import annotations

from typing import Any

from csdm_cli.artifacts.distilled import DatasetInfo
from csdm_cli.data.store import LongTail, Manifest

# What of the evaluation settings an artifact carries, so that `csdm evaluate FILE` needs no option.
RECIPE = ("steps", "lr", "weight_decay", "batch", "augment", "augment_mode", "cutmix")


def dataset_info(longtail: LongTail) -> DatasetInfo:
    """The facts that an artifact tells about the set it was distilled from."""
    manifest = longtail.manifest
    return DatasetInfo(
        name=manifest.dataset,
        class_names=manifest.class_names,
        counts=manifest.counts,
        mean=manifest.mean,
        std=manifest.std,
        train_fingerprint=manifest.fingerprints["train"],
        test_fingerprint=manifest.fingerprints["test"],
    )


def facts_of(manifest: Manifest) -> dict[str, Any]:
    """The facts by which the ledger can make the long-tailed set again, and tell it from others, as JSON values."""
    names = ("dataset", "counts", "n_max", "imbalance", "profile", "class_order", "split", "seed", "dev_per_class")
    facts = {name: getattr(manifest, name) for name in (*names, "channels", "size", "jpeg", "origin")}
    return facts | {"fingerprints": dict(manifest.fingerprints), "read_as": dict(manifest.read_as)}
