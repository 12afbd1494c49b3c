"""Tables: one column for ours, one for the papers'."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from csdm_cli.errors import CsdmError
from csdm_cli.ledger.matching import compare, differences
from csdm_cli.ledger.protocol import Protocol
from csdm_cli.ledger.row import Row
from csdm_cli.ledger.storage import STORAGE, STORED, in_columns, in_short
from csdm_cli.ledger.tables import Shown, gap_closed, own_sheets, paper_sheet, refreshed, scale_of
from tests.ledger.rows import full_row, learned_row, random_row, row


def test_what_a_set_takes_is_told():
    old = row()
    sets = tuple(replace(one, storage_bytes=1234, stored_numbers=560, ipc_equivalent=1.996) for one in old.sets)
    config = old.config | {"distill": old.config["distill"] | {"parameterization": "frequency"}}
    new = replace(old, subject="csdm, frequency (hard labels)", sets=sets, config=config)
    (sheet,) = own_sheets([old, new, full_row()])
    cells = {line[0]: dict(zip(sheet.columns, line, strict=True)) for line in sheet.cells}
    told = cells["csdm, frequency (hard labels)"]
    assert [told[name] for name in STORAGE] == ["560", "1,234", "2.00"]
    assert told["what"] == "frequency in the bytes of 10 images per class"
    assert tuple(cells["csdm (hard labels)"][name] for name in STORAGE) == in_columns(old) != ("–", "–", "–")
    assert [cells["full, cross-entropy"][name] for name in STORAGE] == ["–", "–", "–"]
    assert "stored as frequency, not as images" in differences(new)
    assert Row.from_dict(new.as_dict(), "x") == new


def test_controls_stand_below_and_the_gap_is_told():
    """0.5 lies half-way between random's 0.29 and the whole set's 0.71."""
    random = random_row(((0.29,), (0.29,)))
    (sheet,) = own_sheets([full_row(0.7), random, row()])
    assert [cells[0] for cells in sheet.cells] == ["csdm (hard labels)", "random", "full, cross-entropy"]
    columns = dict(zip(sheet.columns, sheet.cells[0], strict=True))
    assert columns["test accuracy, %"] == "50.0 ± 7.1" and columns["gap closed"] == "0.50"
    assert columns["sets × students"] == "2 × 2" and "JPEG" not in sheet.footnote


def test_the_gap_ends_at_the_best_control_on_all_images_wherever_it_stands():
    random, low = random_row(((0.3,), (0.3,))), full_row(0.49, subject="full, one", method="full, one")
    high = full_row(0.69, subject="full, other", method="full, other")  # two students each, 0.02 apart
    for controls in ([low, high], [high, low]):
        assert gap_closed(row(), [*controls, random, row()]) == pytest.approx((0.5 - 0.3) / (0.7 - 0.3))


@pytest.mark.parametrize(
    "other", [{"ipc": 20}, {"labels": "teacher"}, {"protocol": Protocol.first}, {"subject": "dm", "method": "dm"}]
)
def test_the_gap_begins_at_random_images_of_the_same_number_labels_and_protocol(other):
    foreign, random = replace(random_row(((0.1,), (0.1,))), **other), random_row(((0.3,), (0.3,)))
    assert gap_closed(row(), [foreign, random, full_row(0.69)]) == pytest.approx(0.5)
    assert gap_closed(row(), [foreign, full_row(0.69)]) is None
    elsewhere = full_row(0.89, protocol=Protocol.first)
    assert gap_closed(row(), [random, elsewhere, full_row(0.69)]) == pytest.approx(0.5)


def test_students_at_a_learned_step_size_close_no_gap_and_say_what_they_are():
    rows = [row(), random_row(((0.29,), (0.29,))), full_row(0.7), learned_row("lad")]
    assert gap_closed(rows[-1], rows) is None and gap_closed(rows[0], rows) == pytest.approx(0.5)
    sheet = paper_sheet(compare(rows, ()), Shown.measured)
    told = [dict(zip(sheet.columns, line, strict=True))["ours, %"] for line in sheet.cells]
    assert "45.0 ± 7.1 (hard labels, SGD at learned lr)" in told


def test_jpeg_and_scale_are_told():
    (sheet,) = own_sheets([row(data=replace(row().data, jpeg=True))])
    assert "JPEG-coded" in sheet.footnote and "Reduced scale: small." in sheet.footnote


def test_a_scale_that_another_tells_whole_is_not_told_twice():
    told = row(scale_text="width 8, 2 teachers, 9 steps; 2 sets")
    selected = row(subject="herding", scale_text="width 8, 9 steps; 1 set")
    assert scale_of([told, selected]) == "Reduced scale: width 8, 2 teachers, 9 steps."
    others = [row(subject=name, method=name, scale_text="width 8, 7 steps; 1 set") for name in ("dc", "dsa")]
    assert scale_of([told, *others]) == (
        "Reduced scale: width 8, 2 teachers, 9 steps. Reduced scale of dc, dsa: width 8, 7 steps."
    )


def test_the_best_step_stands_below_where_there_were_several():
    """By rows.student every student's best step is a point above its last."""
    (sheet,) = own_sheets([row(), random_row(((0.3,),))])
    assert "Best step on the test images, which is not the result: csdm (hard labels) 51.0 ± 8.2." in sheet.footnote
    assert all("51.0" not in cell for cells in sheet.cells for cell in cells)
    config = row().config
    (sheet,) = own_sheets([row(config=config | {"evaluate": config["evaluate"] | {"test_points": 1}})])
    assert "Best step" not in sheet.footnote


def test_the_values_left_out_are_counted_by_reason():
    found = compare([row()], ())
    told = paper_sheet(found, Shown.measured).footnote.split("\n\n")[-1]
    total, *reasons = map(int, re.findall(r"\d+", told))
    assert total == len(found) - 1 == sum(reasons) and len(reasons) == 3
    assert "more values" not in paper_sheet(found, Shown.all).footnote


def test_papers_and_ours_have_columns_of_their_own():
    found = compare([row()], ())
    sheet = paper_sheet(found, Shown.measured)
    (cells,) = [dict(zip(sheet.columns, line, strict=True)) for line in sheet.cells]
    assert cells["paper, %"] == "65.3 ± 0.3" and cells["ours, %"].startswith("50.0 ± 7.1")
    assert cells["difference"] == "-15.3" and "1,000 iterations" in cells["departures"]
    assert cells[STORED] == in_short(row())
    assert len(paper_sheet(found, Shown.all).cells) == len(found) > len(paper_sheet(found, Shown.own).cells) > 1


def test_marked_tables_are_brought_up_to_date():
    (sheet,) = own_sheets([row()])
    text = "before\n<!-- ledger: some-table -->\nold\n<!-- /ledger -->\nafter"
    new = refreshed(text, [sheet])
    assert "| csdm (hard labels) |" in new and "old" not in new
    assert new.startswith("before\n") and new.endswith("\nafter")
    assert refreshed(new, [sheet]) == new
    with pytest.raises(CsdmError, match="no table 'other'"):
        refreshed(text.replace("some-table", "other"), [sheet])
