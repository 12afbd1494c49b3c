"""The study's statistics against closed forms and scipy; its page says what results/study says."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import scipy.stats
from differences import Difference, Noise, difference, pooled_noise
from forest import picture_key
from PIL import Image
from report import PAGE, PICTURE, Study, main, measured, refreshed
from run import RESULTS, SCORES, arms

from csdm_cli.evaluation.scores import paired_half_width
from csdm_cli.ledger.store import read_rows
from csdm_cli.ledger.tables import gap_closed
from csdm_cli.methods.learning import LearningMethod
from csdm_cli.names import Parameterization
from csdm_cli.runs.choose import choose
from csdm_cli.settings.sections import Params
from csdm_cli.settings.units import in_units

STUDY = Path(__file__).parents[2] / "benchmarks" / "study"
# base, and what is added to it by arm and seed
BASE = {0: 46.0, 1: 47.0, 2: 48.0}
GAINS = {
    "teachers/trajectory": {0: 3.0, 1: 4.0, 2: 5.0},
    "teachers/40 epochs": {0: -0.5, 1: 0.5, 2: 0.0},
    "kernel/laplace": {0: -6.0, 1: -4.0, 2: -5.0},
}


def table(rng: np.random.Generator, rows: int, columns: int, deviation: float) -> dict[str, dict[int, float]]:
    noise = deviation * rng.standard_normal((rows, columns))
    scores = 50 + 3 * rng.standard_normal((rows, 1)) + 2 * rng.standard_normal((1, columns)) + noise
    return {str(row): dict(enumerate(own)) for row, own in enumerate(scores)}


@pytest.mark.parametrize(
    "file", ["ipc50.yaml", "lad.yaml", "learning.yaml", "storage.yaml", "tuning.yaml", "tuning50.yaml"]
)
def test_arms_of_other_files_can_be_run(file):
    """In names of their own, and with settings that nothing refuses."""
    found = list(arms(STUDY / file))
    assert found and len({arm.file for arm in found}) == len(found)
    for arm in found:
        own = Params.model_validate({name: value for name, value in arm.settings.items() if name != "numerics"})
        method = choose(own).method
        assert own.evaluate.split == "dev"
        assert isinstance(method, LearningMethod) or arm.factor == "start" or own.distill.calibration is not None


def test_every_method_that_learns_has_the_same_three_rates():
    tried: dict[str, list[float]] = {}
    for arm in arms(STUDY / "learning.yaml"):
        tried.setdefault(arm.settings["distill"]["method"], []).append(arm.settings["distill"].get("lr"))
    assert tried.pop("tiled-random") == [None], "where all of them start"
    names = ("dc", "dsa", "idc", "dream", "cafe", "mtt", "ftd", "datm", "lad")
    assert tried == {name: [0.003, 0.01, 0.001] for name in names}


def test_every_parameterisation_has_both_budgets():
    optimised = [arm for arm in arms(STUDY / "storage.yaml") if arm.factor != "start"]
    found = [Params.model_validate({"distill": arm.settings["distill"]}).distill for arm in optimised]
    tried = {(own.parameterization, own.ipc): [] for own in found}
    for own in found:
        tried[own.parameterization, own.ipc].append(own.lr)
        assert own.method == "csdm" and own.calibration == "0.3x"
    assert set(tried) == {(kind, ipc) for kind in Parameterization for ipc in (1, 10)}
    rates = {kind: len(set(lr)) for (kind, _), lr in tried.items()}
    assert rates == {kind: 1 if kind in ("pixels", "multi-formation") else 3 for kind in Parameterization}


def test_equal_seeds_have_the_closed_form_of_two_way_residuals():
    scores = table(np.random.default_rng(0), 5, 3, 1.0)
    values = np.array([list(own.values()) for own in scores.values()])
    left = values - values.mean(1, keepdims=True) - values.mean(0, keepdims=True) + values.mean()
    found = pooled_noise(scores)
    assert found.freedom == 4 * 2
    assert found.deviation == pytest.approx(np.sqrt((left**2).sum() / 8))


def test_one_arm_alone_has_the_interval_of_paired_values():
    scores = table(np.random.default_rng(1), 2, 4, 1.0)
    base, arm = scores.values()
    test = scipy.stats.ttest_rel(list(arm.values()), list(base.values())).confidence_interval(0.95)
    found = difference(arm, base, pooled_noise(scores), 1)
    assert [found.mean - found.half_width, found.mean + found.half_width] == pytest.approx([test.low, test.high])
    assert found.strict == pytest.approx(found.half_width)


def test_a_seed_that_one_arm_alone_has_tells_nothing_of_noise():
    scores = table(np.random.default_rng(2), 4, 3, 1.0)
    more = scores | {"1": scores["1"] | {7: 99.0}}
    found, expected = pooled_noise(more), pooled_noise(scores)
    assert found.freedom == expected.freedom and found.deviation == pytest.approx(expected.deviation)
    told = difference(more["1"], more["0"], found, 3)
    assert told.sets == 3 and told.mean == pytest.approx(fmean(more["1"][s] - more["0"][s] for s in range(3)))


def test_seeds_that_some_arms_share_do():
    """Five sets of two arms, three of the third: 13 cells, 3 + 5 - 1 parameters."""
    scores = table(np.random.default_rng(3), 3, 5, 0.0)
    del scores["2"][3], scores["2"][4]
    found = pooled_noise(scores)
    assert found.freedom == 13 - 7 and found.deviation == pytest.approx(0, abs=1e-12)


def test_intervals_hold_as_often_as_they_say():
    """Base is in every difference: its noise must not count once per arm."""
    rng, inside, variances = np.random.default_rng(4), 0, []
    for _ in range(400):
        values = rng.standard_normal((12, 3))
        scores = {str(row): dict(enumerate(own)) for row, own in enumerate(values)}
        noise = pooled_noise(scores)
        variances.append(noise.deviation**2)
        inside += difference(scores["1"], scores["0"], noise, 11).significance == "none"
    assert 0.92 < inside / 400 < 0.98
    assert fmean(variances) == pytest.approx(1, abs=0.05)


def test_too_few_sets_tell_nothing_of_noise():
    assert pooled_noise({"base": BASE}) is None
    assert pooled_noise({"base": {0: 1.0}, "arm": {0: 2.0}}) is None
    with pytest.raises(ValueError, match="no seed in common"):
        difference({3: 1.0}, BASE, Noise(1.0, 4), 1)


def test_significances():
    told = [Difference(mean, 3, 1.0, 2.0).significance for mean in (0.0, 1.0, 1.1, -1.1, 2.1, -2.1)]
    assert told == ["none", "none", "better", "worse", "better *", "worse *"]


@pytest.fixture
def results(tmp_path):
    """Scores of base and three arms."""
    folder = tmp_path / "results"
    for arm in arms():
        gains = dict.fromkeys(BASE, 0.0) if arm.factor == "base" else GAINS.get(f"{arm.factor}/{arm.name}")
        if gains:
            scores = {seed: BASE[seed] + gain for seed, gain in gains.items()}
            sets = [
                {"seed": seed, **dict.fromkeys(SCORES, score), "seconds": 60 + seed} for seed, score in scores.items()
            ]
            path = folder / arm.file.relative_to(RESULTS)
            path.parent.mkdir(parents=True, exist_ok=True)
            settings = arm.settings | {"distill": in_units(arm.settings["distill"])}
            path.write_text(json.dumps({"settings": settings, "sets": sets}))
    return folder


@pytest.fixture
def page(results, tmp_path, monkeypatch):
    """A copy of the page after the report on these results."""
    copy = tmp_path / "docs" / "study.md"
    copy.parent.mkdir()
    parts = dict.fromkeys([*(name.partition("/")[0] for name in GAINS), "base", "noise", "figure", "missing"])
    copy.write_text("".join(f"<!-- study: {name} -->\n<!-- end -->\n" for name in parts), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["report.py", "--results", str(results), "--page", str(copy)])
    main()
    return copy


def test_the_tables_of_made_up_scores(page):
    """Seeds are equal, so the noise is that of two-way residuals, over (4 - 1)·(3 - 1)."""
    gains = np.array([[0.0, 0.0, 0.0], *(list(own.values()) for own in GAINS.values())])
    left = gains - gains.mean(1, keepdims=True) - gains.mean(0) + gains.mean()
    deviation = np.sqrt((left**2).sum() / 6)
    half = scipy.stats.t.ppf(0.975, 6) * deviation * np.sqrt(2 / 3)
    text = page.read_text(encoding="utf-8")
    assert f"| trajectory | 3 | 51.0 | +4.0 ± {half:.1f} | better \\* | +4.0 | +4.0 | +4.0 | 61 |" in text
    assert f"| 40 epochs | 3 | 47.0 | 0.0 ± {half:.1f} | none | 0.0 | 0.0 | 0.0 | 61 |" in text
    assert f"| laplace | 3 | 42.0 | −5.0 ± {half:.1f} | worse \\* | −5.0 | −5.0 | −5.0 | 61 |" in text
    assert re.search(r"^\* kernel: .*matern", text, re.MULTILINE) and "| 3 | 47.0 | 47.0 | 47.0 | 47.0 | 61 |" in text
    assert f"seed is {deviation:.2f} points, with 6 degrees of freedom" in text
    assert "3 arms were compared with base at 5 % each, so about 0.2" in text and "2 differ, 2 of them" in text
    order = [text.index(f"\n| {arm.name} |") for arm in arms() if f"{arm.factor}/{arm.name}" in GAINS]
    assert order == sorted(order)


def test_the_picture_carries_the_key_of_its_numbers(page, results):
    planned = list(arms())
    marks = Study(planned, measured(planned, results)).marks()
    assert {(group, mark.name) for group, own in marks.items() for mark in own} == {
        tuple(name.split("/")) for name in GAINS
    }
    assert f"]({PICTURE})" in page.read_text(encoding="utf-8")
    assert Image.open(page.parent / PICTURE).text["Description"] == picture_key(marks)


def test_scores_that_do_not_belong_are_refused(results):
    planned = list(arms())
    path = results / "base" / "base.json"
    told = json.loads(path.read_bytes())
    path.write_text(json.dumps(told | {"settings": {}}))
    with pytest.raises(SystemExit, match=r"base\.json was measured with other settings"):
        measured(planned, results)
    path.write_text(json.dumps(told))
    (results / "base" / "stray.json").write_text("{}")
    with pytest.raises(SystemExit, match=r"stray\.json is of no arm"):
        measured(planned, results)


def test_a_page_without_a_factor_is_refused():
    with pytest.raises(SystemExit, match=r"kernel is in one of them only"):
        refreshed("<!-- study: base -->\n<!-- end -->", {"base": "", "kernel": ""})


def test_the_page_and_its_picture_are_those_of_the_results():
    """As `python benchmarks/study/report.py` leaves them."""
    planned = list(arms())
    study = Study(planned, measured(planned, RESULTS))
    text = PAGE.read_text(encoding="utf-8")
    assert refreshed(text, study.parts()) == text
    if marks := study.marks():
        assert Image.open(PAGE.parent / PICTURE).text["Description"] == picture_key(marks)


def test_what_it_comes_to_is_what_the_ledger_says():
    """The page's targets, computed from the rows."""
    text = PAGE.read_text(encoding="utf-8")
    rows = {row.name: row for row in read_rows(RESULTS.parent)}
    confirmed, small = "cifar10-lt200-ipc10-width64", "cifar10-lt{}-ipc{}-width32-steps1000"
    csdm = rows[f"{confirmed}-csdm-hard"]
    for beside in ("random", "tiled-random", "dm-hard"):
        other = rows[f"{confirmed}-{beside}"]
        pairs = [100 * (csdm.by_seed[seed] - other.by_seed[seed]) for seed in csdm.by_seed]
        assert f"{fmean(pairs):.1f} ± {paired_half_width(pairs):.1f}" in text
    own = [row for row in rows.values() if row.table == confirmed]
    assert f"| {gap_closed(csdm, own):.2f}, at width 64 |" in text
    fifty = small.format(200, 50)
    table = [row for row in rows.values() if row.table == fifty]
    assert f"| {gap_closed(rows[f'{fifty}-csdm-hard'], table):.2f}, at width 32 |" in text
    mild, hard = (100 * rows[f"{small.format(beta, 10)}-csdm-hard"].spread.mean for beta in (10, 200))
    random = 100 * rows[f"{small.format(10, 10)}-random"].spread.mean
    assert f"| {mild - hard:.1f}, at width 32; β = 10 is {mild - random:.1f} above random images |" in text
