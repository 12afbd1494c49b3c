"""The headline: what csdm achieves in one table of the ledger, beside rivals and controls, and by which commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from csdm_cli.evaluation.scores import (
    difference_half_width,
    paired_half_width,
    pooled_deviation,
    sets_to_tell,
    together_half_widths,
)
from csdm_cli.ledger.protocol import SHARED, footnote, marked
from csdm_cli.ledger.row import Computing, Row, SectionName
from csdm_cli.ledger.storage import STORED, WEIGHED_SHORT, in_short
from csdm_cli.ledger.tables import (
    GROUPS,
    INTERVAL,
    OURS,
    TextTable,
    gap_closed,
    in_order,
    interval,
    is_control,
    runs,
    scale_of,
    stored,
)
from csdm_cli.networks.numerics import Numerics
from csdm_cli.safe_text import shown as shown_text
from csdm_cli.settings.units import modern_row

OWN = "csdm"
PREFIX, COMMANDS = "headline ", "commands "
AHEAD = "csdm is ahead by"
COLUMNS = (*OURS[:2], STORED, OURS[2], INTERVAL, *GROUPS, "gap closed", AHEAD, "sets × students")
# Types out settings, for a kind of source, a number of sets and what was not computed plainly.
Commands = Callable[[Mapping[SectionName, Mapping[str, Any]], str, int, Mapping[Computing, Numerics]], tuple[str, ...]]


def headline_sheets(rows: Iterable[Row], commands: Commands) -> list[TextTable]:
    """``headline TABLE`` and ``commands TABLE`` for every table that csdm has a row in.

    Args:
        rows: rows of the ledger.
        commands: types out settings as they are to be typed today, whatever the defaults were when a row was measured.
    """
    tables: dict[str, list[Row]] = {}
    for row in rows:
        if not row.inherits:  # what it scores is not of the images alone
            tables.setdefault(row.table, []).append(row)
    own = {name: beside for name, beside in sorted(tables.items()) if any(row.method == OWN for row in beside)}
    tables_shown = [_headline(name, beside) for name, beside in own.items()]
    return [*tables_shown, *(_commands(name, beside, commands) for name, beside in own.items())]


def _headline(name: str, rows: Sequence[Row]) -> TextTable:
    shown = in_order(rows)
    made = [row for row in shown if not is_control(row)]
    notes = (
        f"{scale_of(made)} ± is the standard deviation over sets, or over students of all real images; intervals are"
        f' Student\'s t at 95 %. "{AHEAD}": difference of the means with its interval: {_kind(made)}beside random real'
        f" images of sets of equal seeds in pairs, beside all real images Welch's. {WEIGHED_SHORT}"
        f" {_power(made)}{SHARED}",
        footnote(row.protocol for row in shown),
    )
    cells = tuple(_line(row, rows) for row in shown)
    return TextTable(PREFIX + name, name, COLUMNS, cells, "\n\n".join(notes))


def _commands(name: str, rows: Sequence[Row], commands: Commands) -> TextTable:
    made = [row for row in in_order(rows) if not is_control(row)]
    told = "These commands measure it, SEED being that of each set; evaluate prints the controls too:"
    return TextTable(COMMANDS + name, name, (), (), f"{told}\n\n{_typed(made, commands)}")


def _line(row: Row, rows: Sequence[Row]) -> tuple[str, ...]:
    groups, share = [row.of_group(group) for group in GROUPS], gap_closed(row, rows)
    return (
        row.subject,
        stored(row),
        in_short(row),
        str(row.spread),
        interval(row),
        *("–" if found is None else f"{100 * found.sets.mean:.1f}" for found in groups),
        "–" if share is None else marked(f"{share:.2f}", row.protocol),
        _ahead(row, rows),
        runs(row),
    )


def _ahead(row: Row, rows: Sequence[Row]) -> str:
    """csdm's mean less the row's, in points, with its interval; under the same labels.

    The intervals of several methods hold together. Beside a single one, and beside random real images, sets of equal
    seeds begin alike, so they are compared pair by pair; what has other seeds, by Welch's interval.
    """
    own = [other for other in rows if (other.method, other.labels, other.protocol) == (OWN, row.labels, row.protocol)]
    if row.method == OWN or row.at_learned_rate or not own:
        return "–"
    best = max(own, key=lambda other: other.spread.mean)
    ours, theirs, rivals = best.by_seed, row.by_seed, _rivals(rows, row.labels)
    if len(rivals) > 1 and row in rivals:
        reaches = together_half_widths(best.of_sets, tuple(rival.of_sets for rival in rivals))
        reach = None if reaches is None else reaches[rivals.index(row)]
    elif ours.keys() == theirs.keys() and not row.is_one_set:
        reach = paired_half_width([ours[seed] - theirs[seed] for seed in ours])
    else:
        reach = difference_half_width(best.independent, row.independent)
    told = f"{100 * (best.spread.mean - row.spread.mean):+.1f}"
    told = told if reach is None else f"{told} ± {100 * reach:.1f}"
    # real images chosen at random have neither weights to tune nor too few steps
    return told if is_control(row) and not row.is_full_data else marked(told, row.protocol)


def _rivals(rows: Sequence[Row], labels: str) -> list[Row]:
    like = [row for row in rows if row.labels == labels and not row.at_learned_rate]
    return [row for row in like if not is_control(row) and row.method != OWN]


def _kind(rows: Sequence[Row]) -> str:
    """The interval beside other methods, in words."""
    several = max(len(_rivals(rows, labels)) for labels in {row.labels for row in rows})
    together = f"Dunnett's, at 95 % for all {several} methods beside csdm together, as if the sets of each varied alike"
    return {0: "", 1: "of sets of equal seeds in pairs beside the other method, "}.get(several, f"{together}; ")


def _power(rows: Sequence[Row]) -> str:
    """How many sets of each of two methods it takes here to find a difference of one point, in words."""
    deviation = pooled_deviation([row.of_sets for row in rows])
    rivals = max(len(_rivals(rows, labels)) for labels in {row.labels for row in rows})
    if not deviation or rivals == 0:
        return ""
    alone, among = (sets_to_tell(0.01 / deviation, comparisons) for comparisons in (1, rivals))
    corrected = f", as one of {rivals} comparisons with {among}" if rivals > 1 else ""
    return (
        f"Sets vary by {100 * deviation:.1f} points around their method: a difference of one point is found in four of"
        f" five tries with {alone} sets of each{corrected}. "
    )


def _typed(rows: Sequence[Row], commands: Commands) -> str:
    """The rows' commands; those that begin as they do for the row above are not repeated."""
    lines: list[str] = []
    before: Sequence[str] = ()
    for row in rows:
        typed = commands(modern_row(row.config, len(row.data.counts)), row.data.origin, len(row.sets), row.numerics)
        pairs = enumerate(zip(typed, before, strict=False))
        same = next((number for number, (now, then) in pairs if now != then), 0)
        lines += [f"# {shown_text(row.subject)}", *(f"$ {command}" for command in typed[same:])]
        before = typed
    return "\n".join(("```console", *lines, "```"))
