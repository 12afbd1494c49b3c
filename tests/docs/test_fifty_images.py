"""The results page on fifty images per class says what was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from csdm_cli.ledger.store import read_rows

ROOT = Path(__file__).parents[2]


def test_the_table_of_labels_is_that_of_the_runs():
    measured = json.loads((ROOT / "results" / "diagnostics" / "ipc50-teacher-labels.json").read_bytes())["sets"]
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    told = page.split("<!-- labels -->\n")[1].split("<!-- end -->")[0].splitlines()[2:]
    columns = [(labels, score) for score in ("accuracy", "tail") for labels in ("hard labels", "teacher labels")]
    assert told == [
        f"| {name} | {' | '.join(f'{own[labels][score]:.1f}' for labels, score in columns)} |"
        for name, own in measured.items()
    ]


def test_the_rows_on_all_images_are_those_of_ten_images_per_class():
    """They are the same runs: what is trained on all images knows no number of synthetic ones."""
    fifty, ten = (f"cifar10-lt200-ipc{ipc}-width32-exact" for ipc in (50, 10))
    full = [row for row in read_rows(ROOT / "results") if row.is_full_data]
    again = [replace(row, table=ten) for row in full if row.table == fifty]
    assert len(again) == 4 and again == [row for row in full if row.table == ten]
