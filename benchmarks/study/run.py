"""Run the arms of the study that are missing: `python benchmarks/study/run.py --data DEV_SET [FACTOR ...]`.

An arm is a factor and a name in arms.yaml, or in another file of that form (`--arms`, `--results`). Its sets are
distilled and evaluated by csdm as its commands do it, one after another; what is done stays, so the same command goes
on after an interruption, and several processes share the work. An arm's scores are written to
results/study/FACTOR/NAME.json when its last set is evaluated.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

import csdm_cli
from csdm_cli.artifacts.file import load_distilled, save_distilled
from csdm_cli.artifacts.joining import merge, select_classes
from csdm_cli.artifacts.run_record import machine, read_sidecar
from csdm_cli.data.store import open_longtail
from csdm_cli.evaluation.scores import group_of_classes
from csdm_cli.methods import load
from csdm_cli.methods.contract import MatchingMethod
from csdm_cli.runs.provenance import dataset_info
from csdm_cli.settings.presets import overlaid
from csdm_cli.settings.resolve import read_yaml
from csdm_cli.settings.units import in_units
from csdm_cli.storage.keys import content_key, revision

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "results" / "study"
SCORES = ("accuracy", "head", "medium", "tail")


@dataclass(frozen=True)
class Arm:
    """Settings by section of params.yaml (and ``numerics``: how the networks compute), and where their scores go.

    ``uneven``: further changes for head, medium and tail classes, where these are made in different ways.
    """

    factor: str
    name: str
    change: dict[str, Any]
    settings: dict[str, dict[str, Any]]
    seeds: int
    results: Path = RESULTS
    uneven: dict[str, dict[str, Any]] | None = None

    @property
    def key(self) -> str:
        """The key of what decides the arm's sets, and how they are judged."""
        return content_key(self.settings | ({"uneven": self.uneven} if self.uneven else {}))

    @property
    def file(self) -> Path:
        """The file of the scores."""
        return self.results / self.factor / (re.sub(r"[^a-z0-9.]+", "-", self.name.lower()).strip("-") + ".json")


def main() -> None:
    """Run the factors asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("factors", nargs="*", help="factors of arms.yaml, or FACTOR/NAME [default: all]")
    parser.add_argument("--data", type=Path, required=True, help="set made with make-lt --dev 200 --n-max 4800")
    parser.add_argument("--work", type=Path, default=Path("artifacts/study"), help="folder of the distilled sets")
    parser.add_argument("--teachers", type=Path, help="of arms that do not change them [default: trained if missing]")
    parser.add_argument("--arms", type=Path, default=HERE / "arms.yaml", help="the arms")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of their scores")
    chosen = parser.parse_args()
    for arm in wanted(chosen.factors, chosen.arms, chosen.results):
        if not _is_done(arm):
            chosen.work.mkdir(parents=True, exist_ok=True)
            lock = FileLock(chosen.work / f"{arm.key}.lock", blocking=False)
            with contextlib.suppress(Timeout), lock:  # another process has it
                run(arm, chosen.data, chosen.work, chosen.teachers)


def arms(file: Path = HERE / "arms.yaml", results: Path = RESULTS) -> Iterator[Arm]:
    """All arms of ``file``, in its order."""
    told = read_yaml(file)
    for factor, named in told["arms"].items():
        for name, change in named.items():
            own = dict(change)
            seeds, uneven = own.pop("seeds", told["seeds"]), own.pop("uneven", None)
            settings = overlaid(told["base"], _by_section(own))
            yield Arm(factor, str(name), own, settings, seeds, results, uneven)


def wanted(factors: list[str], file: Path = HERE / "arms.yaml", results: Path = RESULTS) -> list[Arm]:
    """Arms of the factors, or of FACTOR/NAME, in the order asked for; all if none is named."""
    found = list(arms(file, results))
    named = [[arm for arm in found if name in (arm.factor, f"{arm.factor}/{arm.name}")] for name in factors]
    if unknown := [name for name, own in zip(factors, named, strict=True) if not own]:
        known = dict.fromkeys(arm.factor for arm in found)
        raise SystemExit(f"no such arms: {', '.join(unknown)}; the factors are {', '.join(known)}")
    return [arm for own in named for arm in own] or found


def _by_section(change: dict[str, Any]) -> dict[str, dict[str, Any]]:
    sections: dict[str, dict[str, Any]] = {}
    for dotted, value in change.items():
        section, _, name = dotted.partition(".")
        sections.setdefault(section, {})[name] = value
    return sections


def _is_done(arm: Arm) -> bool:
    return arm.file.is_file() and len(json.loads(arm.file.read_bytes())["sets"]) >= arm.seeds


def run(arm: Arm, data: Path, work: Path, teachers: Path | None = None) -> None:
    """Distil and evaluate the arm's sets, and write their scores."""
    folder = work / arm.key
    teachers = None if any(name.startswith("pretrain.") for name in arm.change) else teachers
    own = {name: values for name, values in arm.settings.items() if name != "numerics"}
    computing = arm.settings["numerics"]  # of students, and of the networks that a matching method looks through
    labelling = {"teachers": teachers} if own["evaluate"].get("labels") == "teacher" else {}
    of_networks_seen = computing if issubclass(load(own["distill"]["method"]), MatchingMethod) else {}
    sets = []
    for seed in range(arm.seeds):
        making = {"teachers": teachers, "params": own, "seed": seed, **of_networks_seen}
        made, seconds = make(data, folder / str(seed), making, arm.uneven)
        judging = {**own["evaluate"], **labelling, **computing, "controls": False}
        evaluated = csdm_cli.evaluate(made, data=data, **judging).metrics()
        scores = {name: evaluated[name]["mean"] for name in SCORES}
        sets.append({"seed": seed, **scores, "seconds": seconds, "storage": evaluated["storage"]})
        print(f"{arm.factor}/{arm.name}, seed {seed}: {scores['accuracy']:.1f}", flush=True)
    code = revision()
    found = {
        "factor": arm.factor,
        "arm": arm.name,
        "change": arm.change | ({"uneven": arm.uneven} if arm.uneven else {}),
        "settings": arm.settings | {"distill": in_units(arm.settings["distill"])},
        "commit": code and code.commit,
        "machine": asdict(machine(torch.device("cpu"))),
        "sets": sets,
    }
    arm.file.parent.mkdir(parents=True, exist_ok=True)
    arm.file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def make(
    data: Path, out: Path, making: dict[str, Any], uneven: dict[str, dict[str, Any]] | None = None
) -> tuple[Path, float]:
    """The file of a set, and the seconds it took to distil.

    The loss is a sum over classes, so a set whose head, medium and tail classes are made in different ways is put
    together of the classes of even sets.
    """
    if uneven is None:
        made = csdm_cli.distill(data, out=out, **making).path
        record = read_sidecar(made)
        assert record is not None
        return made, record.wall_seconds
    longtail = open_longtail(data)
    names, groups = longtail.manifest.class_names, asdict(group_of_classes(longtail.manifest.counts))
    parts, seconds = [], 0.0
    for group, change in uneven.items():
        params = overlaid(making["params"], _by_section(change))
        made, taken = make(data, out / content_key(change), making | {"params": params})
        parts.append(select_classes(load_distilled(made), [names[label] for label in groups[group]]))
        seconds += taken
    file = out / "distilled.safetensors"
    save_distilled(file, merge(parts, dataset_info(longtail)).distilled)
    return file, seconds


if __name__ == "__main__":
    main()
