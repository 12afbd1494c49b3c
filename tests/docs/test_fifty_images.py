"""The results page on fifty images per class says what was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from csdm_cli.evaluation.scores import paired_half_width
from csdm_cli.ledger.store import find_row, read_rows

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


@pytest.mark.parametrize("beta", [200, 10])
def test_the_rows_on_all_images_are_those_of_ten_images_per_class(beta):
    """They are the same runs: what is trained on all images knows no number of synthetic ones."""
    fifty, ten = (f"cifar10-lt{beta}-ipc{ipc}-width32-exact" for ipc in (50, 10))
    full = [row for row in read_rows(ROOT / "results") if row.is_full_data]
    again = [replace(row, table=ten) for row in full if row.table == fifty]
    assert len(again) == 4 and again == [row for row in full if row.table == ten]


def scores(ipc: int, name: str) -> dict[int | None, float]:
    """Accuracy in percent by the seed of the set, at an imbalance of 10."""
    row = find_row(f"cifar10-lt10-ipc{ipc}-width32-exact-{name}", ROOT / "results")
    return {one.seed: 100 * fmean(student.accuracy for student in one.students) for one in row.sets}


def test_what_is_said_of_a_shorter_tail():
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    told = " ".join(page.split("### With a shorter tail")[1].split("<!-- ledger")[0].split())
    csdm, dm, tiled, random = (scores(50, f"{name}-hard") for name in ("csdm", "dm", "tiled-random", "random"))
    means = [fmean(own.values()) for own in (csdm, dm, random)]
    best = fmean(scores(50, "full-balanced-softmax").values())
    assert "at {:.1f} and {:.1f} (three sets each), and close half".format(*means) in told and len(csdm) == len(dm) == 3
    assert all(round((mean - means[2]) / (best - means[2]), 1) == 0.5 for mean in means[:2])
    gained = [means[0] - fmean(scores(10, "csdm-hard").values()), means[2] - fmean(scores(10, "random").values())]
    assert [round(points) for points in gained] == [4, 16] and "bring them four points" in told and "sixteen" in told
    apart = [tiled[seed] - random[seed] for seed in tiled]
    assert f"{fmean(apart):.1f} ± {paired_half_width(apart):.1f} apart" in told
    assert f"here all 20,431 images give {best:.1f}" in told
