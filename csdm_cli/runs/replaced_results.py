"""Results in a folder that evaluate or cross-arch is about to write to, where they are not the same evaluation's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from csdm_cli.artifacts.distilled import set_hashes
from csdm_cli.artifacts.evaluation_rows import evaluation_rows, split_of, students_text
from csdm_cli.artifacts.stored_evaluation import ACROSS, StoredEvaluation, is_of_a_replaced_set, read_evaluation
from csdm_cli.errors import CsdmError
from csdm_cli.names import LabelKind
from csdm_cli.runs.cross_arch import CrossArchTask
from csdm_cli.runs.cross_backbones import CrossBackbonesTask
from csdm_cli.runs.evaluate import EvaluationTask
from csdm_cli.storage.bounded import parsed_json, read_json


def replaced_results(folder: Path, task: EvaluationTask) -> str | None:
    """Those in ``folder`` that the results of ``task`` will replace, in words; None where nothing is lost.

    Nothing is lost with results of the same set, protocol, labels and images, all of whose rows come again; of a set
    that was replaced itself; or with damaged ones.
    """
    try:
        found = read_evaluation(folder)
        if found is None or is_of_a_replaced_set(folder):
            return None
        left_out = _left_out(found, task)
        if not left_out and _is_the_same(found, task):
            return None
        own, protocol = evaluation_rows(found.metrics)[0].name, found.details["protocol"]
        text = f"{own}, tested on the {split_of(found.metrics)} set, {students_text(protocol)}"
    except (CsdmError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return text + (f", with {' and '.join(left_out)}" if left_out else "")


def told_of(task: CrossArchTask | CrossBackbonesTask) -> dict[str, Any]:
    """By architecture or backbone, all that tells its results from others: protocol, labels, and the set's hashes."""
    own = {"labels": str(task.labels), "measured": set_hashes(task.case.distilled)}
    return {name: protocol | own for name, protocol in task.protocols.items()}


def replaced_on_networks(folder: Path, task: CrossArchTask | CrossBackbonesTask) -> str | None:
    """The architectures and backbones whose results in ``folder`` those of ``task`` will replace; None if it has none.

    As in :func:`replaced_results`, nothing is lost with the same evaluation's, or of a set that was replaced itself.
    """
    try:
        if is_of_a_replaced_set(folder):
            return None
        metrics, told = (read_json(folder / name, "") for name in ("metrics.json", ACROSS))
        asked = parsed_json(json.dumps(told_of(task)))
        lost = [
            name
            for name, scores in metrics.items()
            if told[name] != asked.get(name)
            or split_of(scores) != task.recipe.split
            or ("random" in scores and not task.controls)
        ]
    except (CsdmError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return ", ".join(lost) or None


def _left_out(found: StoredEvaluation, task: EvaluationTask) -> list[str]:
    """Groups of rows that ``found`` has and ``task`` does not ask for."""
    asked = {
        "controls": task.settings.controls,
        "fairness": task.settings.fairness,
        "inheritance": task.inheritance is not None,
        "learned_rate": task.learned is not None,
    }
    return [name.replace("_", " ") for name, wanted in asked.items() if name in found.metrics and not wanted]


def _is_the_same(found: StoredEvaluation, task: EvaluationTask) -> bool:
    labelled_by = (found.details.get("measured") or {}).get("labelled_by")
    return (
        found.details["protocol"] == parsed_json(json.dumps(task.described))
        and found.metrics.get("labels", LabelKind.hard) == task.labels
        and labelled_by == (task.labeller.key if task.labeller else None)
        and split_of(found.metrics) == task.settings.split
        and found.belongs_to(task.case.distilled)
    )
