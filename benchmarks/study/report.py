"""Bring docs/study.md's tables and its picture up to date with results/study: `python benchmarks/study/report.py`.

Between `<!-- study: NAME -->` and `<!-- end -->` of the page stand the table of the factor NAME, one row per measured
arm in the order of arms.yaml, or the parts `noise`, `figure` and `missing`: the other arms. What
differences.py says of noise is what the tables mean.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from differences import Difference, difference, mean_difference, pooled_noise
from forest import Mark, draw
from run import RESULTS, SCORES, Arm, arms

from csdm_cli.display.markdown import markdown_table
from csdm_cli.settings.units import modern_sections
from csdm_cli.storage import atomic

PAGE = RESULTS.parents[1] / "docs" / "study.md"
PICTURE = "images/study.png"  # beside the page
MARKED = re.compile(r"(?P<start><!-- study: (?P<name>[^<>]+) -->)\n.*?(?P<end><!-- end -->)", re.DOTALL)
GROUPS = ("head", "medium", "tail")
BASE = "base"
CLASSES = 10  # of CIFAR-10, which settings of before a change of units depend on
COLUMNS = ("arm", "sets", "accuracy", "difference", "", *GROUPS, "seconds")
BASE_COLUMNS = ("sets", "accuracy", *GROUPS, "seconds")


@dataclass(frozen=True)
class Measured:
    """Scores of an arm's sets by seed, in percent, and the median seconds of a distillation."""

    scores: Mapping[str, Mapping[int, float]]
    seconds: float

    @property
    def sets(self) -> int:
        """How many."""
        return len(self.scores["accuracy"])

    def mean(self, score: str) -> str:
        """Over all sets, as text."""
        return f"{fmean(self.scores[score].values()):.1f}"


class Study:
    """The arms of arms.yaml, what was measured of them, and how they compare with base."""

    def __init__(self, planned: Sequence[Arm], found: Mapping[str, Measured]) -> None:
        self.planned, self.found = planned, found
        self.base = found.get(BASE)
        self.compared = [arm for arm in planned if arm.factor != BASE and label(arm) in found] if self.base else []
        self.noise = {score: pooled_noise({name: one.scores[score] for name, one in found.items()}) for score in SCORES}

    def difference(self, arm: Arm) -> Difference | None:
        """To base; None if either was not measured, or nothing is known of noise."""
        noise = self.noise["accuracy"]
        if self.base is None or noise is None or label(arm) not in self.found:
            return None
        own = self.found[label(arm)].scores["accuracy"]
        return difference(own, self.base.scores["accuracy"], noise, len(self.compared))

    def marks(self) -> dict[str, list[Mark]]:
        """For the picture, by factor."""
        groups: dict[str, list[Mark]] = {}
        for arm in self.compared:
            if told := self.difference(arm):
                mark = Mark(arm.name, told.mean, told.half_width, told.significance)
                groups.setdefault(arm.factor, []).append(mark)
        return groups

    def parts(self) -> dict[str, str]:
        """The texts between the marks of the page, by name."""
        factors = dict.fromkeys([BASE, *(arm.factor for arm in self.compared)])
        others = {"noise": self._noise(), "figure": self._figure(), "missing": self._missing()}
        return {name: self._table(name) for name in factors} | others

    def _table(self, factor: str) -> str:
        if factor == BASE:
            return markdown_table(BASE_COLUMNS, [_levels(self.base)[1:]], ())
        rows = [self._row(arm) for arm in self.compared if arm.factor == factor]
        base = [BASE, *_levels(self.base)[1:3], "", "", "", "", "", _levels(self.base)[-1]]
        return markdown_table(COLUMNS, [base, *rows], {"arm", ""})

    def _row(self, arm: Arm) -> list[str]:
        own, told = self.found[label(arm)], self.difference(arm)
        cells = [signed(told.mean) + f" ± {told.half_width:.1f}", told.significance] if told else ["", ""]
        groups = [signed(mean_difference(own.scores[g], self.base.scores[g])[0]) if self.base else "" for g in GROUPS]
        return [arm.name, str(own.sets), own.mean("accuracy"), *cells, *groups, f"{own.seconds:.0f}"]

    def _noise(self) -> str:
        noise, sets = self.noise["accuracy"], sum(one.sets for one in self.found.values())
        if noise is None or self.base is None:
            return "Too few arms have been measured for intervals."
        usual, count = self.base.sets, len(self.compared)
        significances = [told.significance for arm in self.compared if (told := self.difference(arm))]
        differ = [significance for significance in significances if significance != "none"]
        strict = sum(significance.endswith("*") for significance in differ)
        return (
            f"Pooled over {len(self.found)} arms and {sets} sets, the standard deviation of one set around its arm and"
            f" seed is {noise.deviation:.2f} points, with {noise.freedom} degrees of freedom: the mean difference of"
            f" {usual} sets is known to ± {noise.half_width(usual):.1f}{self._groups(usual)}. {count} arms were"
            f" compared with base at 5 % each, so about {0.05 * count:.1f} would differ from it by chance alone;"
            f" {len(differ)} differ, {strict} of them also at 5 % for all {count} together (*)."
        )

    def _groups(self, sets: int) -> str:
        known = {group: noise for group in GROUPS if (noise := self.noise[group])}
        widths = [f"of {group} classes to ± {noise.half_width(sets):.1f}" for group, noise in known.items()]
        return f" ({', '.join(widths)})"

    def _missing(self) -> str:
        missing: dict[str, list[str]] = {}
        for arm in self.planned:
            if label(arm) not in self.found:
                missing.setdefault(arm.factor, []).append(arm.name)
        return "\n".join(f"* {factor}: {'; '.join(names)}" for factor, names in missing.items())

    def _figure(self) -> str:
        return f"![Difference of every arm to base, with 95 % interval]({PICTURE})" if self.marks() else ""


def main() -> None:
    """Write the page and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the arms' scores")
    parser.add_argument("--page", type=Path, default=PAGE, help="page whose tables are to be brought up to date")
    chosen = parser.parse_args()
    planned = list(arms())
    study = Study(planned, measured(planned, chosen.results))
    text = refreshed(chosen.page.read_text(encoding="utf-8"), study.parts())
    if marks := study.marks():
        draw(marks, chosen.page.parent / PICTURE)
    atomic.write_text(chosen.page, text)


def measured(planned: Sequence[Arm], folder: Path) -> dict[str, Measured]:
    """The results of the arms in ``folder``, by label, in the order planned.

    Raises:
        SystemExit: if a file is of no arm of arms.yaml, or was measured with other settings.
    """
    files = {folder / arm.file.relative_to(RESULTS): arm for arm in planned}
    if strays := sorted(set(folder.rglob("*.json")) - set(files)):
        raise SystemExit(f"{strays[0]} is of no arm in arms.yaml: name the arm there, or remove the file")
    found = {}
    for path, arm in files.items():
        if not path.is_file():
            continue
        told = json.loads(path.read_bytes())
        if modern_sections({"distill": {}} | told["settings"], CLASSES) != arm.settings:
            raise SystemExit(f"{path} was measured with other settings than arms.yaml has: run {label(arm)} again")
        scores = {score: {one["seed"]: one[score] for one in told["sets"]} for score in SCORES}
        found[label(arm)] = Measured(scores, median(one["seconds"] for one in told["sets"]))
    return found


def label(arm: Arm) -> str:
    """Factor and name."""
    return BASE if arm.factor == BASE else f"{arm.factor}/{arm.name}"


def refreshed(text: str, parts: Mapping[str, str]) -> str:
    """The page with every marked part brought up to date.

    Raises:
        SystemExit: if it has a part that is not known, or lacks a factor of which something was measured.
    """
    names = [match["name"] for match in MARKED.finditer(text)]
    if odd := sorted(set(names) ^ set(parts)):
        raise SystemExit(f"page and results do not have the same parts: {', '.join(odd)} is in one of them only")

    def part(match: re.Match[str]) -> str:
        body = parts[match["name"]]
        return f"{match['start']}\n{body}\n{match['end']}" if body else f"{match['start']}\n{match['end']}"

    return MARKED.sub(part, text)


def signed(points: float) -> str:
    """With one decimal and a sign, but no sign on what is 0.0."""
    text = f"{points:+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


def _levels(base: Measured | None) -> list[str]:
    """Base itself: name, sets, accuracy, the groups' accuracies, seconds."""
    if base is None:
        return [BASE, "not run", *[""] * (len(BASE_COLUMNS) - 1)]
    return [BASE, str(base.sets), *(base.mean(score) for score in SCORES), f"{base.seconds:.0f}"]


if __name__ == "__main__":
    main()
