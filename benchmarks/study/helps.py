"""Bring the table of what helps in docs/study.md up to date: `python benchmarks/study/helps.py`.

It stands between `<!-- helps -->` and `<!-- end -->`: a line per change of helps.yaml that was measured, of csdm, of
dm and of their start, and the mean paired difference to base over the sets of csdm and dm. The noise is that of all
arms together (differences.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from differences import Noise, Scores, mean_difference, pooled_noise
from pages import with_part
from report import signed
from run import HERE, arms

from csdm_cli.display.markdown import markdown_table
from csdm_cli.storage import atomic

RESULTS = HERE.parents[1] / "results" / "study-helps"
PAGE = HERE.parents[1] / "docs" / "study.md"
BASE, OWN, OTHER, START = "base", "csdm", "dm", "tiled-random"
COLUMNS = ("change", OWN, OTHER, "their start", "difference to base", "tail", "csdm − dm")


@dataclass(frozen=True)
class Measured:
    """Scores of the arms that were measured: by arm (its factor, its name), then by seed, in percent."""

    accuracy: Mapping[tuple[str, str], Scores]
    tail: Mapping[tuple[str, str], Scores]

    @property
    def noise(self) -> Noise:
        """The deviation of one set around its arm and seed.

        Raises:
            SystemExit: if too few sets were measured to tell.
        """
        found = pooled_noise({f"{factor}: {name}": own for (factor, name), own in self.accuracy.items()})
        if found is None:
            raise SystemExit(f"{RESULTS} has too few sets to tell noise from differences")
        return found


def main() -> None:
    """Write the table into the page."""
    atomic.write_text(PAGE, with_table(PAGE.read_text(encoding="utf-8"), measured()))


def measured() -> Measured:
    """The results, in the order of helps.yaml."""
    found: dict[str, dict[tuple[str, str], Scores]] = {"accuracy": {}, "tail": {}}
    for arm in arms(HERE / "helps.yaml", RESULTS):
        if arm.file.is_file():
            sets = json.loads(arm.file.read_bytes())["sets"]
            for score, own in found.items():
                own[arm.factor, arm.name] = {one["seed"]: one[score] for one in sets}
    return Measured(found["accuracy"], found["tail"])


def with_table(page: str, found: Measured) -> str:
    """``page`` with its table as the scores say."""
    noise = found.noise
    changes = {name + _suffix(factor) for factor, name in found.accuracy if name != BASE}
    below = (
        f"One set varies by {noise.deviation:.2f} points around its arm and seed ({noise.freedom} degrees of freedom,"
        f" all arms together): ± is the 95 % interval that follows. {len(changes)} changes stand here; at 5 %"
        " each, one of twenty differs by chance."
    )
    planned = [(arm.factor, arm.name) for arm in arms(HERE / "helps.yaml", RESULTS)]
    missing = dict.fromkeys(name + _suffix(factor) for factor, name in planned if (factor, name) not in found.accuracy)
    left = f"\n\nPlanned in helps.yaml and not measured: {'; '.join(missing)}." if missing else ""
    table = markdown_table(COLUMNS, _lines(found, noise), {"change"})
    return with_part(page, "helps", f"{table}\n\n{below}{left}")


def _lines(found: Measured, noise: Noise) -> list[list[str]]:
    lines = []
    for suffix in dict.fromkeys(_suffix(factor) for factor, _ in found.accuracy):
        changes = dict.fromkeys(name for factor, name in found.accuracy if factor in (OWN + suffix, OTHER + suffix))
        lines += [_line(found, noise, suffix, name) for name in changes]
    return lines


def _suffix(factor: str) -> str:
    """How an arm and its base are known: "" or ", second pool", whatever the method."""
    return factor[factor.index(",") :] if "," in factor else ""


def _line(found: Measured, noise: Noise, suffix: str, name: str) -> list[str]:
    own, other, start = (found.accuracy.get((method + suffix, name)) for method in (OWN, OTHER, START))
    against = other or found.accuracy.get((OTHER + suffix, BASE))  # what csdm alone has stands beside dm's base
    measured_methods = [method + suffix for method, scores in ((OWN, own), (OTHER, other)) if scores]
    changed = ["", ""] if name == BASE else _difference(found, noise, measured_methods, name)
    ahead = _with_width(*mean_difference(own, against), noise) if own and against else "–"
    return [name + suffix, _mean(own), _mean(other), _mean(start), *changed, ahead]


def _difference(found: Measured, noise: Noise, methods: Sequence[str], name: str) -> list[str]:
    """To base, over the sets of all ``methods``: of all classes, and of the tail."""
    cells = []
    for scores in (found.accuracy, found.tail):
        parts = [mean_difference(scores[method, name], scores[method, BASE]) for method in methods]
        sets = sum(count for _, count in parts)
        cells.append((sum(mean * count for mean, count in parts) / sets, sets))
    return [_with_width(*cells[0], noise), signed(cells[1][0])]


def _with_width(mean: float, sets: int, noise: Noise) -> str:
    return f"{signed(mean)} ± {noise.half_width(sets):.1f}"


def _mean(scores: Scores | None) -> str:
    return f"{sum(scores.values()) / len(scores):.1f}" if scores else "–"


if __name__ == "__main__":
    main()
