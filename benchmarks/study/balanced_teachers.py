"""A diagnostic, never a result: what sets score whose teachers saw the whole balanced dataset.

Published pools of teachers are often trained on balanced data. Through them calibration tells the synthetic images of a
tail class what 5,000 images of it look like, of which the long-tailed set has 25. This makes sets of csdm and dm as the
README's table has them, but for the teachers, and judges them on the test set beside the table's rows of equal seeds:
`python benchmarks/study/balanced_teachers.py --data LONG_TAILED_SET --balanced SET_OF_IMBALANCE_1`
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from run import HERE, SCORES

import csdm_cli
from csdm_cli.artifacts.run_record import machine
from csdm_cli.data.store import LongTail, open_longtail
from csdm_cli.evaluation.scores import group_of_classes
from csdm_cli.ledger.store import read_rows
from csdm_cli.settings.resolve import read_yaml
from csdm_cli.storage import atomic
from csdm_cli.storage.keys import revision
from csdm_cli.teachers.pool import TeacherPool

RESULT = HERE.parents[1] / "results" / "diagnostics" / "balanced-teachers.json"
TABLE = "cifar10-lt200-ipc10-width32-exact"  # its rows have honest teachers
NUMERICS = {"precision": "bf16", "compile": True}
METHODS, SEEDS = ("csdm", "dm"), 2


@dataclass(frozen=True)
class Disguised(TeacherPool):
    """A pool in the guise of one trained on other data: no command takes teachers of other data than the set's."""

    guise: str = ""

    @property
    def data(self) -> str:
        """The fingerprint that is claimed."""
        return self.guise


def main() -> None:
    """Train the teachers, make and judge the sets that are missing, and print the means beside the honest rows'."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the long-tailed set of the README's table")
    parser.add_argument("--balanced", type=Path, required=True, help="made with make-lt --imbalance 1")
    parser.add_argument("--work", type=Path, default=Path("artifacts/balanced-teachers"), help="folder of the sets")
    chosen = parser.parse_args()
    params = read_yaml(HERE / "headline.yaml")
    longtail = open_longtail(chosen.data)
    seen = csdm_cli.train_teachers(chosen.balanced, **params["pretrain"], **NUMERICS)
    pool = Disguised(seen.paths, seen.headers, guise=longtail.manifest.fingerprints["train"])
    found = {
        method: [scores(method, seed, longtail, pool, params, chosen.work) for seed in range(SEEDS)]
        for method in METHODS
    }
    code = revision()
    told = {
        "what": "a diagnostic: the teachers saw balanced data, so that these are no scores of a long-tailed set",
        "params": params,
        "numerics": NUMERICS,
        "teachers": dict(seen.description),
        "commit": code and code.commit,
        "machine": asdict(machine(torch.device("cpu"))),
        "sets": found,
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(RESULT, json.dumps(told, indent=1) + "\n")
    for method, own in found.items():
        print(f"{method}: {leaking(own)} with balanced teachers, {honest(method)} with honest ones")


def scores(
    method: str, seed: int, longtail: LongTail, pool: TeacherPool, params: dict[str, Any], work: Path
) -> dict[str, float]:
    """The scores of one set, in percent, on the test set."""
    preset = {"preset": "common", "params": {"distill": params["distill"]}}
    made = csdm_cli.distill(
        longtail, teachers=pool, method=method, seed=seed, out=work / f"{method}-{seed}", **preset, **NUMERICS
    )
    judged = csdm_cli.evaluate(made, **params["evaluate"], **NUMERICS, controls=False).metrics()
    print(f"{method}, seed {seed}: {judged['accuracy']['mean']:.1f}", flush=True)
    return {"seed": seed} | {score: judged[score]["mean"] for score in SCORES}


def leaking(sets: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean accuracies of sets: of all classes, and of the tail's."""
    return {score: round(fmean(one[score] for one in sets), 1) for score in ("accuracy", "tail")}


def honest(method: str) -> dict[str, float]:
    """The mean accuracies of the README's row of ``method`` over the same seeds: of all classes, and of the tail's."""
    (row,) = [row for row in read_rows(RESULT.parents[1]) if (row.table, row.method) == (TABLE, method)]
    students = [student for one in row.sets if one.seed in range(SEEDS) for student in one.students]
    tail = group_of_classes(row.data.counts).tail
    rare = [share for student in students for label in tail if (share := student.per_class[label]) is not None]
    return {"accuracy": round(100 * fmean(one.accuracy for one in students), 1), "tail": round(100 * fmean(rare), 1)}


if __name__ == "__main__":
    main()
