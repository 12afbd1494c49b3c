"""docs/corrections.md says what results/audit-2026-11.json records, and what the withdrawn rows say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import fmean

import pytest
import scipy.stats

from csdm_cli.ledger.store import find_row, read_rows

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "corrections.md").read_text(encoding="utf-8")
RECORD = json.loads((ROOT / "results" / "audit-2026-11.json").read_text(encoding="utf-8"))
HEADLINE = "cifar10-lt200-ipc10-width64"


def lines(table: str) -> list[list[str]]:
    """Cells of a marked table, header first, without its rule."""
    (body,) = re.findall(rf"<!-- audit: {table} -->\n(.*?)\n<!-- end -->", PAGE, re.DOTALL)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()]
    return [cells[0], *cells[2:]]


def test_the_record_says_what_it_is():
    assert RECORD["status"] == "from the second reading; not yet a row"
    assert {"commit", "data", "settings", "standard_error_of_an_accuracy"} <= RECORD.keys()


def test_gradient_ratios():
    names, values = lines("gradient ratio")
    assert dict(zip(names, map(float, values), strict=True)) == RECORD["gradient_ratio"]["values"]


def test_accuracy_at_an_equal_ratio():
    _, *rows = lines("equal ratio")
    assert len(rows) == len(RECORD["equal_ratio"]["rows"])
    for cells, told in zip(rows, RECORD["equal_ratio"]["rows"], strict=True):
        assert cells[0].removesuffix(" (the preset)") == f"{told['method']}, {told['calibration']}"
        assert [float(cell) for cell in cells[1:4] if cell != "–"] == told["accuracy"]
        assert float(cells[4]) == told["mean"] == pytest.approx(fmean(told["accuracy"]), abs=0.0501)


def test_the_differences_are_paired_over_the_seeds():
    scores = {f"{row['method']}, {row['calibration']}": row["accuracy"] for row in RECORD["equal_ratio"]["rows"]}
    for told in RECORD["equal_ratio"]["paired_differences"]:
        test = scipy.stats.ttest_rel(scores["csdm, 0.1"], scores[told["to"]]).confidence_interval()
        assert (test.high - test.low) / 2 == pytest.approx(told["half_width_95"], abs=0.06)
        assert (test.high + test.low) / 2 == pytest.approx(told["mean"], abs=0.06)
        assert f"+{told['mean']} ± {told['half_width_95']}" in PAGE


def test_the_share_of_the_gap_with_a_trained_control():
    control = RECORD["full_control_on_test"]
    _, *rows = lines("full control on test")
    assert {name: float(value) for name, value in rows} == control["accuracy"]
    own = 100 * find_row(f"{HEADLINE}-csdm-hard", ROOT / "results").spread.mean
    low, high = control["accuracy"]["random"], max(control["accuracy"].values())
    assert (own - low) / (high - low) == pytest.approx(control["share_of_the_gap"]["value"], abs=0.005)


def test_what_is_withdrawn_is_what_was_published():
    csdm, dm = (find_row(f"{HEADLINE}-{name}-hard", ROOT / "results").spread.mean for name in ("csdm", "dm"))
    full = find_row(f"{HEADLINE}-full-balanced-softmax", ROOT / "results").spread.mean
    assert f"csdm is {100 * (csdm - dm):.1f} ± 0.9 points ahead of dm" in PAGE
    assert f"stands where the first table has {100 * full:.1f}" in PAGE


def test_no_row_was_touched_by_the_faults_of_the_code():
    """Tables of one network each, and no copies of one set among the sets that csdm is compared with."""
    tables: dict[str, list] = {}
    for row in read_rows(ROOT / "results"):
        tables.setdefault(row.table, []).append(row)
    assert [name for name, rows in tables.items() if any(row.network != rows[0].network for row in rows)] == []
    beside = [row for rows in tables.values() if any(row.method == "csdm" for row in rows) for row in rows]
    assert len(beside) > 100 and [row.name for row in beside if row.is_one_set] == []
