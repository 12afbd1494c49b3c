"""The commands that make a distilled set and its results again, as far as the files tell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from csdm_cli.artifacts.distilled import Distilled
from csdm_cli.artifacts.stored_evaluation import StoredEvaluation
from csdm_cli.errors import CsdmError
from csdm_cli.ledger.row import Computing, SectionName
from csdm_cli.ledger.sections import evaluate_section, make_lt_section, pretrain_section
from csdm_cli.ledger.shell_commands import SEED, typed_commands
from csdm_cli.networks.numerics import Numerics
from csdm_cli.safe_text import typed
from csdm_cli.settings.units import modern_row


def commands_of(sets: Mapping[Path, Distilled], evaluations: Mapping[Path, StoredEvaluation]) -> list[tuple[str, ...]]:
    """A block of commands for every set; none for one whose files do not tell enough."""
    blocks: list[tuple[str, ...]] = []
    for file, one in sets.items():
        own = next((found for found in evaluations.values() if found.belongs_to(one)), None)
        config = one.provenance.config
        if own is not None and config.get("distill"):
            blocks.append(_typed(one, own))
        elif "images_sha256" in config:
            blocks.append((_imported(file, one),))
        elif config.get("sets"):
            blocks.append((f"csdm merge FILES --out {typed(file.parent)}",))
    return [block for block in dict.fromkeys(blocks) if block]


def _typed(distilled: Distilled, evaluation: StoredEvaluation) -> tuple[str, ...]:
    """The commands from data to accuracy; none where the settings are of another version of csdm."""
    details, origin = evaluation.details, distilled.provenance.config
    try:
        facts, protocol = details["measured"]["data"], details["protocol"]
        network = (origin.get("teachers") or {}).get("spec") or protocol["network"]
        sections: dict[SectionName, Mapping[str, Any]] = {
            "make_lt": make_lt_section(facts),
            "pretrain": pretrain_section(origin.get("teachers"), network),
            "distill": dict(origin["distill"]),
            "evaluate": evaluate_section(
                protocol, network, details["measured"]["tested_on"], details["measured"]["labels"]
            ),
        }
        if probed := protocol.get("probed"):
            sections["backbone"] = pretrain_section(probed["backbone"], network)
        told: dict[Computing, Any] = {"distill": origin.get("numerics"), "evaluate": protocol.get("numerics")}
        numerics = {part: TypeAdapter(Numerics).validate_python(value) for part, value in told.items() if value}
        lines = typed_commands(modern_row(sections, len(facts["counts"])), str(facts["origin"]), 1, numerics)
    except (CsdmError, ValueError, KeyError, TypeError, AttributeError):
        return ()
    return tuple(re.sub(rf"\b{SEED}\b", str(distilled.provenance.seed), line) for line in lines)


def _imported(file: Path, distilled: Distilled) -> str:
    """The import, with the options it was given."""
    config = distilled.provenance.config
    words = ["csdm", "import", str(config["images"]), "--data", "DATA"]
    if "labels" in config:
        words += ["--labels-file", str(config["labels"])]
    for name, flag in (("normalised", "--normalised"), ("whitened", "--zca")):
        words += [flag] if config.get(name) else []
    if config.get("factor", 1) != 1:
        words += ["--factor", str(config["factor"])]
    if config.get("experiment"):
        words += ["--experiment", str(config["experiment"])]
    if distilled.provenance.method != "imported":
        words += ["--method", distilled.provenance.method]
    return shlex.join([*words, "--out", str(file.parent)])
