"""Rows of linear probes: the classifiers that were inherited, and how far the settings are from the papers'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from csdm_cli.evaluation.inheritance import BYTES
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.ledger.departures import is_optimised
from csdm_cli.ledger.row import Inherited, Probe, Row
from csdm_cli.ledger.sections import selection_section
from csdm_cli.names import LabelKind
from csdm_cli.runs.measurement import Measurement
from csdm_cli.safe_text import counted

# What sfm's and lgm's papers print.
SIZE, ITERATIONS, EPOCHS = 224, 5000, 1000


def heir(
    beside: Measurement, name: str, number: int | None, evaluation: Evaluation, told: Mapping[str, Any]
) -> Measurement:
    """A row of an inherited classifier in the table of a set, with the classifier's and the map's bytes.

    Args:
        beside: the set.
        name: the row's.
        number: random images per class that the map was fitted to; None for those of the set.
        evaluation: the scores.
        told: ``inheritance`` in the ``details.json`` of evaluate.
    """
    bytes_beside = told["classifier_bytes"] + told["map_bytes"]
    spec, classes = beside.protocol["network"], len(beside.data["counts"])
    image = spec["channels"] * spec["size"] ** 2
    if number is None:
        stored, numbers, equivalent = beside.storage_bytes, beside.stored_numbers, beside.ipc_equivalent
        own = beside
    else:
        stored = numbers = number * classes * image  # a byte each
        equivalent = number
        config = {"teachers": beside.config.get("teachers"), "distill": selection_section("random", number, 1)}
        own = replace(beside, method="random", config=config, ipc=number, factor=1, parameterization=None)
        own = replace(own, images_sha256=None, making=None)
    return replace(
        own,
        subject=name,
        labels=str(LabelKind.hard),
        evaluation=evaluation,
        evaluating=None,
        storage_bytes=None if stored is None else stored + bytes_beside,
        stored_numbers=None if numbers is None else numbers + bytes_beside // BYTES,
        ipc_equivalent=None if equivalent is None else equivalent + bytes_beside / (classes * image),
        inherited=told,
    )


def probe_of(found: Measurement) -> Probe | None:
    """The backbone that linear probes looked through; None of students."""
    told = found.protocol.get("probed")
    if not told:
        return None
    own = found.inherited
    heritage = Inherited(dict(own["giver"]), own["classifier_bytes"], own["map_bytes"]) if own else None
    return Probe(dict(told["backbone"]), heritage)


def probe_differences(row: Row) -> list[str]:
    """The settings that make a row less than the scale of the papers that distil for probes."""
    found, size = [], input_size(row)
    if size < SIZE:
        found.append(f"a backbone that sees {size}×{size}, not {SIZE}×{SIZE}")
    if is_optimised(row) and (iterations := row.config["distill"]["iterations"]) < ITERATIONS:
        found.append(f"{iterations:,} iterations, not {ITERATIONS:,}")
    if not row.inherits and (epochs := row.config["evaluate"]["probe_epochs"]) < EPOCHS:
        found.append(f"probes of {epochs:,} epochs, not {EPOCHS:,}")
    return found


def probe_parts(row: Row) -> list[str]:
    """The backbone, where its weights are from, the distillation, and how probes were trained."""
    frozen, settings = row.network.get("frozen"), row.config["evaluate"]
    centres = f" of {frozen['centres']:,} centres" if frozen and frozen.get("centres") else ""
    origin = frozen["origin"] if frozen else "trained on the training images"
    seen = f"{row.network['name']}{centres} ({origin}) at {input_size(row)} px"
    made = [counted(row.config["distill"]["iterations"], "iteration")] if is_optimised(row) else []
    if row.inherits:
        return [seen, *made, "an inherited classifier"]
    return [seen, *made, f"probes of {settings['probe_epochs']:,} epochs on {settings['probe_features']} features"]


def input_size(row: Row) -> int:
    """Side of the images that the network sees."""
    frozen = row.network.get("frozen")
    return int(frozen["size"] if frozen else row.network["size"])
