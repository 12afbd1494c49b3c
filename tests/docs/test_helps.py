"""The table of what helps: it says what results/study-helps says, and its differences are paired by seed and method."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import helps
import pytest
from helps import Measured

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date():
    page = helps.PAGE.read_text(encoding="utf-8")
    assert helps.with_table(page, helps.measured()) == page and "<!-- helps -->" in page


def test_a_difference_is_that_of_equal_seeds_of_each_method():
    accuracy = {
        ("csdm", "base"): {0: 50.0, 1: 52.0},
        ("csdm", "longer"): {0: 51.0, 1: 54.0},
        ("dm", "base"): {0: 49.0, 1: 50.0},
        ("dm", "longer"): {0: 52.0},
    }
    found = Measured(accuracy, {arm: {seed: value / 2 for seed, value in own.items()} for arm, own in accuracy.items()})
    noise = found.noise
    base, longer = helps._lines(found, noise)
    assert base[:4] == ["base", "51.0", "49.5", "–"] and base[4:6] == ["", ""]
    # +1 and +2 of csdm, +3 of dm: +2.0 over three pairs; of the tail half as much
    assert longer[4] == f"+2.0 ± {noise.half_width(3):.1f}" and longer[5] == "+1.0"
    assert base[6] == f"+1.5 ± {noise.half_width(2):.1f}" and longer[6].startswith("−1.0 ± ")


def test_what_dm_does_not_have_stands_beside_its_base():
    accuracy = {
        ("csdm", "base"): {0: 50.0, 1: 52.0},
        ("csdm", "scale"): {0: 51.0, 1: 52.0},
        ("dm", "base"): {0: 49.0, 1: 50.0},
    }
    found = Measured(accuracy, accuracy)
    (line,) = [line for line in helps._lines(found, found.noise) if line[0] == "scale"]
    assert line[2] == "–" and line[6].startswith("+2.0 ± ")


def test_arms_of_another_pool_have_a_base_and_a_count_of_their_own():
    accuracy = {
        ("csdm", "base"): {0: 50.0, 1: 52.0},
        ("csdm", "scale"): {0: 51.0, 1: 52.0},
        ("csdm, second pool", "base"): {0: 40.0, 1: 41.0},
        ("csdm, second pool", "scale"): {0: 43.0, 1: 44.0},
    }
    found = Measured(accuracy, accuracy)
    changed = {line[0]: line[4] for line in helps._lines(found, found.noise)}
    assert changed["scale"].startswith("+0.5 ± ") and changed["scale, second pool"].startswith("+3.0 ± ")
    page = helps.with_table("<!-- helps -->\n<!-- end -->\n", found)
    assert " 2 changes stand here" in page


def test_too_few_sets_tell_nothing():
    only = {("csdm", "base"): {0: 50.0}}
    with pytest.raises(SystemExit, match="too few sets"):
        _ = Measured(only, only).noise


def mean_over_methods(arm: str, score: str) -> float:
    """Over the two sets of csdm and of dm in the second pool, from their files."""
    files = [ROOT / "results" / "study-helps" / f"{method}, second pool" / f"{arm}.json" for method in ("csdm", "dm")]
    return fmean(one[score] for file in files for one in json.loads(file.read_text(encoding="utf-8"))["sets"])


def test_what_the_page_says_beside_its_table():
    page = " ".join(helps.PAGE.read_text(encoding="utf-8").split())
    base = {score: mean_over_methods("base", score) for score in ("head", "seconds")}
    taken = base["head"] - mean_over_methods("more-for-the-tail", "head")
    assert f"give it nine and take {taken:.0f} from the head" in page
    slower = mean_over_methods("1-000-iterations-24-draws", "seconds") / base["seconds"]
    assert round(slower) == 4 and "(0.0 ± 1.2), in four times the time" in page
