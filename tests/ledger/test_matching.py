"""Which row stands beside which claim, and what keeps them apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from csdm_cli.ledger.matching import MatchStatus, compare, differences, matches, scale_differences
from csdm_cli.ledger.papers import paper_values
from tests.ledger.rows import full_row, row

ESTIMATE = "not 16,000 (this project's estimate)"


def matched(found):
    return [paper for paper in paper_values() if matches(paper, found)]


def test_a_row_meets_exactly_its_own_cell():
    (paper,) = matched(row())
    assert (paper.method, paper.imbalance, paper.ipc, paper.arch, paper.value) == ("CSDM", 200, 10, "ConvNet-D3", 65.3)
    (paper,) = matched(full_row())
    assert (paper.method, paper.ipc, paper.value) == ("Full Dataset", None, 48.5)


@pytest.mark.parametrize(
    "other",
    [
        row(ipc=11),
        row(method="dsdm"),
        row(network={"name": "convnet", "width": 128, "depth": 4}),
        row(data=replace(row().data, imbalance=20.0)),
        row(data=replace(row().data, dataset="svhn")),
        row(data=replace(row().data, tested_on="dev")),
    ],
)
def test_other_settings_meet_nothing(other):
    assert matched(other) == []


def test_the_difference_is_ours_less_the_papers():
    (found,) = [item for item in compare([row()], ()) if item.row]
    assert found.difference == pytest.approx(50 - 65.3) and found.status is MatchStatus.measured


def test_why_a_value_is_missing():
    by_status = {}
    for item in compare([], {"cifar10"}):
        by_status.setdefault(item.status, set()).add((item.paper.dataset, item.paper.method))
    assert ("CIFAR-10-LT", "CSDM") in by_status[MatchStatus.not_run]
    assert ("ImageNette-LT", "CSDM") in by_status[MatchStatus.no_data]
    assert ("CIFAR-10-LT", "ADSA") in by_status[MatchStatus.no_method]
    assert MatchStatus.measured not in by_status and by_status[MatchStatus.unstated]


def test_departures_are_listed():
    """Everything smaller than the papers' settings, and JPEG-coded images."""
    assert scale_differences(row()) == ["1,000 iterations, not 10,000", f"students of 2,000 steps, {ESTIMATE}"]
    config = {name: dict(section) for name, section in row().config.items()}
    config["distill"]["iterations"], config["evaluate"]["steps"] = 10_000, 16_000
    large = replace(row().data, counts=(5000, 900, 100, 25))
    assert differences(row(config=config, data=large)) == ["runs: 2 × 2"]
    small = row(config=config, data=replace(row().data, jpeg=True), network=row().network | {"width": 64, "size": 16})
    assert differences(small) == [
        "width 64, not 128",
        "50 images in the largest class, not 5,000",
        "images of 16×16, not 32×32",
        "JPEG-coded images",
        "runs: 2 × 2",
    ]


def test_what_was_published_as_jpeg_departs_by_its_size_alone():
    data, config = replace(row().data, dataset="imagenette", jpeg=True), row().config
    large, small = ({"name": "convnet", "width": 128, "depth": 5, "size": size} for size in (128, 64))
    same = differences(row(data=data, config=config, network=large))
    assert "JPEG-coded images" not in same
    assert set(differences(row(data=data, config=config, network=small))) - set(same) == {
        "images of 64×64, not 128×128"
    }
    assert "50 images in the largest class, where the paper's is not known" in same


def test_only_what_is_optimised_has_iterations_to_miss():
    """Also a method that looks through no teachers."""
    config = {name: dict(section) for name, section in row().config.items()}
    config["distill"]["teacher_schedule"] = None
    assert scale_differences(row(config=config, method="herding")) == [f"students of 2,000 steps, {ESTIMATE}"]
    assert scale_differences(row(config=config, method="dc"))[0] == "1,000 iterations, not 10,000"


def test_all_real_images_stand_once_however_many_tables_have_them():
    other = replace(full_row(), table="other-table")
    found = [item.row for item in compare([full_row(), other, full_row(0.6), row()], ()) if item.row]
    assert found == [row(), full_row(), full_row(0.6)]
