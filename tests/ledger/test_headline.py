"""The headline: csdm, its rivals and the controls of one table, with intervals and commands."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import pytest
import scipy.stats

from csdm_cli.evaluation.scores import sets_to_tell
from csdm_cli.ledger.headline import AHEAD, headline_sheets
from csdm_cli.ledger.protocol import Protocol
from csdm_cli.ledger.storage import STORED, in_short
from csdm_cli.ledger.tables import INTERVAL, refreshed
from tests.ledger.rows import full_row, learned_row, random_row, row

RANDOM = random_row(((0.29,), (0.31,), (0.33,)))


def typed(sections, origin, sets, numerics):
    method = sections["distill"]["method"]
    return "make", "distill" if method == "csdm" else f"distill {method}", "evaluate"


def other(method: str, labels: str = "hard"):
    settings = row().config
    config = settings | {"distill": settings["distill"] | {"method": method}}
    return row(
        ((0.4, 0.5), (0.4, 0.4)), subject=f"{method} ({labels} labels)", method=method, labels=labels, config=config
    )


def lines(*rows):
    sheet = headline_sheets(rows, typed)[0]
    return {cells[0]: dict(zip(sheet.columns, cells, strict=True)) for cells in sheet.cells}


def test_every_method_of_a_table_stands_there():
    found = lines(full_row(), RANDOM, other("dm"), other("idm"), row())
    assert set(list(found)[:3]) == {"csdm (hard labels)", "dm (hard labels)", "idm (hard labels)"}
    assert list(found)[3:] == ["random", "full, cross-entropy"]
    assert headline_sheets([RANDOM, other("dm")], typed) == []


def test_what_a_set_stores_is_told_of_every_row():
    found = lines(full_row(), RANDOM, row())
    assert [found[name][STORED] for name in found] == [in_short(row()), in_short(RANDOM), "–"]


def test_students_at_a_learned_step_size_are_no_rivals():
    found, without = (lines(row(), RANDOM, other("dm"), *more) for more in ([learned_row()], []))
    assert found.pop("mtt, SGD at learned lr (hard labels)")[AHEAD] == "–"
    assert found == without


def test_intervals_are_over_sets_and_of_all_images_over_students():
    """Means of sets are 0.29, 0.31, 0.33; the students of all real images have 0.60 and 0.61."""
    only = replace(
        full_row(0.6).sets[0], students=(*full_row(0.6).sets[0].students[:1], *full_row(0.61).sets[0].students[:1])
    )
    found = lines(row(), RANDOM, replace(full_row(), sets=(only,)))
    reach = scipy.stats.t.ppf(0.975, 2) * 2 / 3**0.5
    assert found["random"][INTERVAL] == f"{31 - reach:.1f} to {31 + reach:.1f}"
    reach = scipy.stats.t.ppf(0.975, 1) * 0.5
    assert found["full, cross-entropy"][INTERVAL] == f"{60.5 - reach:.1f} to {60.5 + reach:.1f}"
    assert found["csdm (hard labels)"][INTERVAL] == "0.0 to 100.0"  # an accuracy, however little is known of it


def test_one_set_has_no_interval():
    found = lines(row(((0.5, 0.6),)), RANDOM)
    assert found["csdm (hard labels)"][INTERVAL] == "–" and found["random"][AHEAD] == "+24.0"


def test_csdm_is_ahead_by_its_mean_less_the_rows():
    ours = row(((0.5,), (0.52,), (0.54,)))
    found = lines(ours, RANDOM, other("dm", "soft"))
    assert found["dm (soft labels)"][AHEAD] == "–"  # other labels are another kind of row


def test_sets_of_equal_seeds_are_compared_in_pairs():
    ours, theirs = (0.5, 0.53, 0.54), (0.49, 0.5, 0.54)
    rival = replace(other("dm"), sets=row(tuple((value,) for value in theirs)).sets)
    test = scipy.stats.ttest_rel(ours, theirs)
    alone = lines(row(tuple((value,) for value in ours)), rival, RANDOM)
    reach = test.confidence_interval(0.95)
    assert alone["dm (hard labels)"][AHEAD] == f"+1.3 ± {50 * (reach.high - reach.low):.1f}"


def test_the_intervals_of_several_methods_hold_together():
    """Dunnett's own example; his table has 2.50 for two methods and 12 degrees of freedom."""
    control, first, second = (
        (7.40, 8.50, 7.20, 8.24, 9.84, 8.32),
        (9.76, 8.80, 7.68, 9.36),
        (12.80, 9.68, 12.16, 9.20, 10.55),
    )

    def sets(values: tuple[float, ...]):
        return row(tuple((value / 100,) for value in values)).sets

    found = lines(
        replace(row(), sets=sets(control)),
        replace(other("dm"), sets=sets(first)),
        replace(other("idm"), sets=sets(second)),
        replace(other("ncfm", "soft"), sets=sets(second)),
        RANDOM,
    )
    spread = math.sqrt(sum((len(one) - 1) * statistics.variance(one) for one in (control, first, second)) / 12)
    reach = [2.50 * spread * math.sqrt(1 / len(one) + 1 / 6) for one in (first, second)]
    for method, values, half in (("dm", first, reach[0]), ("idm", second, reach[1])):
        told = [float(part) for part in found[f"{method} (hard labels)"][AHEAD].split(" ± ")]
        assert told == pytest.approx([statistics.fmean(control) - statistics.fmean(values), half], abs=0.0501)
    assert found["ncfm (soft labels)"][AHEAD] == "–"


def test_copies_of_one_set_count_once():
    """A rule that draws nothing chooses the same images under every seed, which say nothing of other sets."""
    ours, rival, once = (
        replace(made, sets=row(scores).sets)
        for made, scores in (
            (row(), ((0.60,), (0.62,), (0.64,))),
            (other("dm"), ((0.55,), (0.575,), (0.59,))),
            (other("herding"), ((0.5,),)),
        )
    )
    copies = tuple(replace(once.sets[0], seed=seed, images_sha256="ab" * 32) for seed in range(3))
    alone, several = (
        headline_sheets([ours, rival, one, RANDOM], typed)[0] for one in (once, replace(once, sets=copies))
    )
    assert [line[:-1] for line in alone.cells] == [line[:-1] for line in several.cells]
    assert alone.footnote == several.footnote


def test_sets_of_other_seeds_are_compared_as_independent():
    ours, random = row(((0.5,), (0.52,), (0.54,))), random_row(((0.29,), (0.31,), (0.33,), (0.31,)))
    test = scipy.stats.ttest_ind([0.5, 0.52, 0.54], [0.29, 0.31, 0.33, 0.31], equal_var=False).confidence_interval()
    assert lines(ours, random)["random"][AHEAD] == f"+21.0 ± {50 * (test.high - test.low):.1f}"


def test_the_commands_stand_below():
    sheet, commands = headline_sheets([row(), other("dm"), RANDOM], typed)
    assert (sheet.name, commands.name) == ("headline some-table", "commands some-table")
    assert "Reduced scale: small." in sheet.footnote
    told = commands.markdown().split("```console\n")[1]
    assert told.splitlines() == [
        *("# csdm (hard labels)", "$ make", "$ distill", "$ evaluate"),
        *("# dm (hard labels)", "$ distill dm", "$ evaluate", "```"),
    ]


@pytest.mark.parametrize("text", ["old\n", ""])
def test_a_document_marks_it(text):
    sheets = headline_sheets([row()], typed)
    new = refreshed(f"<!-- ledger: headline some-table -->\n{text}<!-- /ledger -->", sheets)
    assert "| csdm (hard labels) |" in new and "old" not in new


def test_the_power_is_told_where_sets_vary():
    """Two sets 0.02 apart vary by 1.4 points: Cohen's effect 0.71 takes 33 sets of each (one rival: one comparison)."""
    sets = ((0.49,), (0.51,))
    own, rival = row(sets), replace(other("dm"), sets=row(sets).sets)
    sheet = headline_sheets([own, rival], typed)[0]
    assert "Sets vary by 1.4 points" in sheet.footnote and "tries with 33 sets of each." in sheet.footnote
    assert "Sets vary" not in headline_sheets([own], typed)[0].footnote


def test_of_several_methods_each_comparison_has_its_share_of_the_error():
    sets = ((0.49,), (0.51,))
    own, *rivals = row(sets), *(replace(other(name), sets=row(sets).sets) for name in ("dm", "idm", "ncfm"))
    footnote = headline_sheets([own, *rivals], typed)[0].footnote
    among = sets_to_tell(0.01 / statistics.stdev((0.49, 0.51)), comparisons=3)
    assert among > 33 and f"tries with 33 sets of each, as one of 3 comparisons with {among}." in footnote


def test_the_best_csdm_of_the_row_s_labels_and_protocol_is_ahead():
    low, high = row(((0.5,), (0.52,))), row(((0.6,), (0.62,)), subject="csdm, other (hard labels)")
    for ours in ([low, high], [high, low]):
        assert lines(*ours, RANDOM)["random"][AHEAD].startswith("+30.0")
    assert lines(replace(high, protocol=Protocol.first), low, RANDOM)["random"][AHEAD].startswith("+20.0")
    assert lines(replace(high, protocol=Protocol.first), RANDOM)["random"][AHEAD] == "–"
