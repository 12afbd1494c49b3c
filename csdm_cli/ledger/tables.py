"""The ledger as tables: ours by themselves, and beside the papers' values, each in a column of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from csdm_cli.display.markdown import markdown_table
from csdm_cli.errors import CsdmError
from csdm_cli.evaluation.controls import ControlName
from csdm_cli.evaluation.scores import half_width, share_of_gap_closed
from csdm_cli.ledger.matching import STUDENT_STEPS, Comparison, MatchStatus
from csdm_cli.ledger.protocol import SHARED, Protocol, footnote, marked, named
from csdm_cli.ledger.row import Row
from csdm_cli.ledger.storage import STORAGE, STORED, WEIGHED, WEIGHED_SHORT, in_columns, in_short
from csdm_cli.safe_text import counted

MARKED = re.compile(
    r"^(?P<start><!-- ledger: (?P<name>\S+(?: \S+)?) -->)\n.*?^(?P<end><!-- /ledger -->)", re.DOTALL | re.MULTILINE
)
GROUPS: tuple[Literal["head", "medium", "tail"], ...] = ("head", "medium", "tail")
OURS = ("students trained on", "what", "test accuracy, %", *GROUPS, "gap closed", "sets × students")
CONTROLS = frozenset(map(str, ControlName))
INTERVAL = "95 % interval of the mean"  # in tables of linear probes, and in the headline
PAPERS = ("dataset", "β", "IPC", "network", "method", "paper, %", "from")
BESIDE = (*PAPERS, "ours, %", STORED, "difference", "protocol", "departures")
TEXT_COLUMNS = {OURS[0], "what", "dataset", "network", "method", "from", "protocol", "departures"}
ESTIMATED = (
    f"Students of {STUDENT_STEPS:,} steps are this project's estimate of a paper's, which prints none (NCFM's code"
    " would take 8,000 at IPC 10). Runs are sets × students; NCFM reports 10, how many stand behind the others is not"
    " printed. Full Dataset stands once for each way its students were trained."
)
LEFT_OUT = {
    "that csdm could measure": (MatchStatus.not_run, MatchStatus.no_data),
    "of methods that csdm has not": (MatchStatus.no_method,),
    "without an imbalance": (MatchStatus.unstated,),
}


@dataclass(frozen=True)
class TextTable:
    """A table of text cells under a title."""

    name: str
    title: str
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    footnote: str = ""

    def markdown(self) -> str:
        """As Markdown, figures to the right; a table without columns is its footnote."""
        if not self.columns:
            return self.footnote
        table = markdown_table(self.columns, self.cells, TEXT_COLUMNS)
        return f"{table}\n\n{self.footnote}" if self.footnote else table


def own_sheets(rows: Iterable[Row]) -> list[TextTable]:
    """One sheet per table of ours: sets first, then selections, then all real images, each by accuracy."""
    tables: dict[str, list[Row]] = {}
    for row in rows:
        tables.setdefault(row.table, []).append(row)
    return [_own_sheet(name, tables[name]) for name in sorted(tables)]


class Shown(StrEnum):
    """The papers' values that are shown: those measured here, csdm's own as well, or all."""

    measured = "measured"
    own = "own"
    all = "all"


def paper_sheet(found: Sequence[Comparison], shown_ones: Shown) -> TextTable:
    """Papers' values beside ours."""

    def is_shown(item: Comparison) -> bool:
        own = shown_ones is Shown.own and item.paper.our_method == "csdm"
        return shown_ones is Shown.all or own or item.row is not None

    shown = [item for item in found if is_shown(item)]
    cells = tuple(_beside(item) for item in shown)
    left = _left_out([item for item in found if not is_shown(item)])
    rows = [item.row for item in shown if item.row]
    notes = [named(row.protocol for row in rows), ESTIMATED, WEIGHED_SHORT] if rows else []
    return TextTable("papers", "Beside the papers' values", BESIDE, cells, "\n\n".join([*notes, *left]))


def has_marked_tables(text: str) -> bool:
    """Whether Markdown ``text`` has a place for a table."""
    return MARKED.search(text) is not None


def refreshed(text: str, sheets: Sequence[TextTable]) -> str:
    """Markdown ``text`` with every table between ``<!-- ledger: NAME -->`` and ``<!-- /ledger -->`` brought up to date.

    Raises:
        CsdmError: if a table named there does not exist.
    """
    known = {sheet.name: sheet for sheet in sheets}

    def table(match: re.Match[str]) -> str:
        if match["name"] not in known:
            raise CsdmError(f"there is no table {match['name']!r} in the ledger; its tables: {', '.join(known)}")
        return f"{match['start']}\n{known[match['name']].markdown()}\n{match['end']}"

    return MARKED.sub(table, text)


def _left_out(items: Sequence[Comparison]) -> list[str]:
    """The number of values that are not shown, and why."""
    reasons = {why: sum(item.status in statuses for item in items) for why, statuses in LEFT_OUT.items()}
    told = ", ".join(f"{number} {why}" for why, number in reasons.items() if number)
    text = f"{len(items)} more values of the papers have no row here ({told}); `csdm ledger --all` lists them."
    return [text] if items else []


def counts_by_status(found: Sequence[Comparison]) -> dict[str, int]:
    """The numbers of the papers' values that are measured, not run, and so on."""
    papers = {status: {item.paper for item in found if item.status is status} for status in MatchStatus}
    return {str(status): len(values) for status, values in papers.items()}


def _own_sheet(name: str, rows: Sequence[Row]) -> TextTable:
    ordered = in_order(rows)
    some = ordered[0]
    ipc = sorted({row.ipc for row in rows if row.ipc is not None})
    images = f", IPC {'/'.join(map(str, ipc))}" if ipc else ""
    title = f"{some.data.dataset}, β {some.data.imbalance:.4g}{images}, {some.data.tested_on} set"
    told = [row for row in ordered if not is_control(row)] or ordered  # whose scale is the controls' as well
    spread = f"± is the standard deviation over sets, or students of one. {SHARED}"
    columns = (*OURS, *STORAGE)
    cells = [(*_own(row, gap_closed(row, rows)), *in_columns(row)) for row in ordered]
    if all(row.protocol is Protocol.probe for row in rows):
        columns = (*columns[:3], INTERVAL, *columns[3:])
        cells = [(*cell[:3], interval(row), *cell[3:]) for row, cell in zip(ordered, cells, strict=True)]
        spread += " Intervals are Student's t at 95 %."
    notes = (scale_of(told), spread, WEIGHED, *_best_steps(told))
    return TextTable(
        name, title, columns, tuple(cells), "\n\n".join((" ".join(notes), footnote(row.protocol for row in rows)))
    )


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Sets first, then selections, then all real images, each by accuracy."""
    return sorted(rows, key=lambda row: (is_control(row), row.is_full_data, -row.spread.mean))


def scale_of(rows: Sequence[Row]) -> str:
    """At which scale rows of one table were measured, their sets apart, and whether on JPEG-coded images.

    A selection is told by its students alone, which need no second telling beside those of optimised sets. Rows of
    another scale than the first are named.
    """
    told: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        parts = (row.scale, *row.scale_text.partition("; ")[0].split(", "))
        told.setdefault(parts, []).append(row.subject.removesuffix(" (hard labels)"))
    widest = [parts for parts in told if not any(set(parts) < set(other) for other in told)]
    scales = [
        f"{scale.capitalize()} scale{' of ' + ', '.join(told[scale, *parts]) if number else ''}: {', '.join(parts)}."
        for number, (scale, *parts) in enumerate(widest)
    ]
    jpeg = ["The images are JPEG-coded."] if rows[0].data.jpeg else []
    return " ".join((*scales, *jpeg))


def _best_steps(rows: Sequence[Row]) -> list[str]:
    """The claim that choosing each student's step on the test images would make, of rows tested more than once."""
    several = [row for row in rows if row.config["evaluate"]["test_points"] > 1]
    told = ", ".join(f"{row.subject} {row.best_on_test.students}" for row in several)
    return [f"Best step on the {rows[0].data.tested_on} images, which is not the result: {told}."] if told else []


def is_control(row: Row) -> bool:
    """Whether the row is one that stands in every table."""
    return row.is_full_data or row.method in CONTROLS


def _own(row: Row, share: float | None) -> tuple[str, ...]:
    groups = [row.of_group(group) for group in GROUPS]
    return (
        row.subject,
        stored(row),
        str(row.spread),
        *("–" if found is None else f"{100 * found.sets.mean:.1f}" for found in groups),
        "–" if share is None else marked(f"{share:.2f}", row.protocol),
        runs(row),
    )


def runs(row: Row) -> str:
    """Sets × students; a dash where there is no other set."""
    return f"{'–' if row.is_full_data or row.is_one_set else len(row.sets)} × {len(row.sets[0].students)}"


def interval(row: Row) -> str:
    """The 95 % interval of a row's mean over its sets, or its students of all real images, in percent."""
    reach, mean = half_width(row.independent), row.spread.mean
    return "–" if reach is None else f"{100 * max(0, mean - reach):.1f} to {100 * min(1, mean + reach):.1f}"


def stored(row: Row) -> str:
    """The training images of students: how many, of how many cells."""
    if row.is_full_data:
        return f"all {counted(sum(row.data.counts), 'image')}"
    assert row.ipc is not None
    if row.coded_as:
        return f"{row.coded_as} in the bytes of {counted(row.ipc, 'image')} per class"
    per_class = f"{counted(row.ipc, 'image')} per class"
    return per_class if row.factor == 1 else f"{per_class}, each of {row.factor}×{row.factor}"


def gap_closed(row: Row, rows: Sequence[Row]) -> float | None:
    """Share of the gap between random images under hard labels and the best control on all real images."""
    like = [other for other in rows if other.protocol is row.protocol and not other.inherits]
    random = [other for other in like if other.method == "random" and other.labels == "hard" and other.ipc == row.ipc]
    full = [other for other in like if other.is_full_data]
    if row.is_full_data or row.inherits or row.at_learned_rate or not random or not full:
        return None
    best = max(other.spread.mean for other in full)
    return share_of_gap_closed(row.spread.mean, random[0].spread.mean, best)


def _beside(item: Comparison) -> tuple[str, ...]:
    paper, row, difference = item.paper, item.row, item.difference
    return (
        paper.dataset,
        "–" if paper.imbalance is None else f"{paper.imbalance:g}",
        "all" if paper.ipc is None else str(paper.ipc),
        paper.arch or "–",
        paper.method,
        str(paper),
        f"{paper.source}, {paper.table}",
        "–" if row is None else f"{row.spread} ({row.taught_by})",
        "–" if row is None else in_short(row),
        "–" if difference is None else f"{difference:+.1f}",
        "–" if row is None else row.protocol,
        item.settings if row is None else f"{row.scale}: {item.settings}",
    )
