"""The grid of a comparison: what is typed, what is refused, and what comes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from csdm_cli.comparison.tuning import Point, grid
from csdm_cli.errors import UsageError
from csdm_cli.settings import sections
from tests.command_world import fails, run


def test_a_grid_is_all_combinations_in_order():
    points = grid("calibration=0x, 1x; lr=0.1,0.2")
    assert [point.values for point in points] == [
        (("calibration", "0x"), ("lr", "0.1")),
        (("calibration", "0x"), ("lr", "0.2")),
        (("calibration", "1x"), ("lr", "0.1")),
        (("calibration", "1x"), ("lr", "0.2")),
    ]
    assert points[1].named("dm") == "dm, calibration 0x, lr 0.2"
    own = points[3].on(sections.Params()).distill
    assert (own.calibration, own.lr) == ("1x", 0.2)
    assert grid("option.second=1")[0].on(sections.Params()).distill.option == {"second": "1"}
    assert grid(None) == [Point()] and Point().on(sections.Params()) == sections.Params()


@pytest.mark.parametrize("text", ["lr", "lr=", "=1", "lr=1,,2", "lr=1;lr=2", "foo=1", "second=1"])
def test_what_is_no_grid_is_refused(text):
    with pytest.raises(UsageError, match="--tune"):
        grid(text)


def test_ratios_are_numbers_with_an_x():
    assert sections.Distill(calibration="1.0x").calibration == "1x"
    assert sections.Distill(calibration="0.3").calibration == 0.3
    for wrong in ("x", "-1x", "infx", "1y", "nan"):
        with pytest.raises(ValueError, match="a number >= 0, or a ratio such as 1x"):
            sections.Distill(calibration=wrong)


def test_every_method_has_the_same_trials_which_are_listed(workplace):
    told = ("--methods", "dm,csdm", "--seeds", 1, "--tune", "calibration=0x,1x", "--params", "params.yaml")
    fails(run("compare", *told, expect=None), 2, "--tune chooses settings", "--split dev")
    run("compare", "--data", "data", "--teachers", "teachers", *told, "--split", "dev", "--out", "out")
    (found,) = json.loads(Path("out/compare.json").read_bytes())["tuning"].values()
    assert set(found) == {"dm", "csdm"}
    for own in found.values():
        assert [trial["settings"] for trial in own["trials"]] == [{"calibration": "0x"}, {"calibration": "1x"}]
        assert own["accuracy"] == max(trial["accuracy"] for trial in own["trials"])
        assert own["best"] in ({"calibration": "0x"}, {"calibration": "1x"})
