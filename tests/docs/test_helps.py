"""The table of what helps: it says what results/study-helps says, and its differences are paired by seed and method."""

from __future__ import annotations

import helps
import pytest
from helps import Measured


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
