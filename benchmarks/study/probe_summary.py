"""Bring the overviews of linear probes in docs/backbones.md up to date: `python benchmarks/study/probe_summary.py`.

Between `<!-- probes -->` and `<!-- end -->` stands a line per table of probes.yaml that the ledger has, between
`<!-- other probes -->` and `<!-- end -->` a line per table of what was made on another backbone, and between
`<!-- options -->` and `<!-- end -->` a line per arm of backbone_options.yaml. They say what the ledger's rows and
`results/study-backbones` say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from differences import difference, pooled_noise
from pages import with_part
from run import HERE, RESULTS, arms

from csdm_cli.display.markdown import markdown_table
from csdm_cli.evaluation.scores import half_width
from csdm_cli.ledger.row import Row
from csdm_cli.ledger.store import read_rows
from csdm_cli.settings.resolve import read_yaml
from csdm_cli.storage import atomic

PAGE = RESULTS.parents[1] / "docs" / "backbones.md"
OPTIONS = RESULTS.parent / "study-backbones"
METHODS = ("lgm", "ridge", "sfm")
DEFAULT = "default"
TEXT = {"set", "made on", "probed on", "option"}


def main() -> None:
    """Write the tables into the page."""
    found = rows_by_table(read_rows(RESULTS.parent))
    atomic.write_text(PAGE, with_tables(PAGE.read_text(encoding="utf-8"), found, option_scores()))


def rows_by_table(rows: Sequence[Row]) -> dict[str, dict[str, Row]]:
    """Rows of probes by table and subject."""
    found: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row.probe is not None:
            found.setdefault(row.table, {})[row.subject] = row
    return found


def option_scores(results: Path = OPTIONS) -> dict[str, dict[str, dict[int, float]]]:
    """Accuracy in percent by factor, arm and seed, of the arms that were measured."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for arm in arms(HERE / "backbone_options.yaml", results):
        if arm.file.is_file():
            sets = json.loads(arm.file.read_bytes())["sets"]
            found.setdefault(arm.factor, {})[arm.name] = {one["seed"]: one["accuracy"] for one in sets}
    return found


def with_tables(
    page: str, found: Mapping[str, Mapping[str, Row]], options: Mapping[str, Mapping[str, Mapping[int, float]]]
) -> str:
    """``page`` with its three overviews."""
    page = with_part(page, "probes", _own(found))
    page = with_part(page, "other probes", _of_others(found))
    return with_part(page, "options", _options(options))


def _own(found: Mapping[str, Mapping[str, Row]]) -> str:
    columns = ("set", "IPC", "made on", "random", "nearest to centroid", *METHODS, "all images")
    lines = []
    for data, ipc, backbone, rows in _tables(found):
        best = max((row for row in rows.values() if row.is_full_data), key=lambda row: row.accuracy.sets.mean)
        made = [shown(rows.get(f"{method} (hard labels)")) for method in METHODS]
        controls = [shown(rows.get(name)) for name in ("random", "nearest to centroid")]
        lines.append([data, str(ipc), backbone, *controls, *made, shown(best)])
    return markdown_table(columns, lines, TEXT)


def _of_others(found: Mapping[str, Mapping[str, Row]]) -> str:
    heirs = [f"{name} + inheritance" for name in ("random", *METHODS, "random, 100 per class")]
    columns = ("set", "IPC", "made on", "probed on", "random", *METHODS, *heirs)
    lines, backbones = [], read_yaml(HERE / "probes.yaml")["backbones"]
    for data, ipc, backbone, _ in _tables(found):
        for other in backbones:
            if rows := found.get(f"{data}-ipc{ipc}-{backbone}-on-{other}"):
                subjects = ("random", *(f"{method} (hard labels)" for method in METHODS), *heirs)
                lines.append([data, str(ipc), backbone, other, *(shown(rows.get(subject)) for subject in subjects)])
    return markdown_table(columns, lines, TEXT)


def _tables(found: Mapping[str, Mapping[str, Row]]) -> Iterator[tuple[str, int, str, Mapping[str, Row]]]:
    """Set, images per class, backbone and rows of every table of the plan that is there."""
    plan = read_yaml(HERE / "probes.yaml")
    for data in plan["make_lt"]:
        for ipc in plan["ipc"]:
            for backbone in plan["backbones"]:
                if rows := found.get(f"{data}-ipc{ipc}-{backbone}"):
                    yield data, ipc, backbone, rows


def shown(row: Row | None) -> str:
    """Accuracy in percent and the half of its 95 % interval, where there is one."""
    if row is None:
        return "–"
    own = half_width(row.independent)
    return f"{100 * row.accuracy.sets.mean:.1f}" + ("" if own is None else f" ± {100 * own:.1f}")


def _options(found: Mapping[str, Mapping[str, Mapping[int, float]]]) -> str:
    """Arms beside their factor's default, by the noise of all arms together."""
    noise = pooled_noise({f"{factor}/{name}": own for factor, arm in found.items() for name, own in arm.items()})
    compared = sum(len(own) - 1 for own in found.values())
    lines = []
    for factor, own in found.items():
        for name, scores in own.items():
            told = ["", ""]
            if name != DEFAULT and noise is not None:
                gap = difference(scores, own[DEFAULT], noise, compared)
                told = [f"{gap.mean:+.1f} ± {gap.strict:.1f}", str(gap.sets)]
            lines.append([f"{factor.replace('-ipc', ', IPC ')}: {name}", f"{fmean(scores.values()):.1f}", *told])
    return markdown_table(("option", "accuracy, %", "difference to the default", "sets in pairs"), lines, TEXT)


if __name__ == "__main__":
    main()
