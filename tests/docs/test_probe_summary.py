"""The overviews of linear probes say what the ledger and results/study-backbones say."""

from __future__ import annotations

from pathlib import Path

import probe_summary
from run import HERE, arms

from csdm_cli.ledger.store import read_rows
from csdm_cli.runs.choose import choose
from csdm_cli.settings.sections import Params

ROWS = probe_summary.rows_by_table(read_rows(probe_summary.RESULTS.parent))


def test_the_page_is_up_to_date():
    page, options = probe_summary.PAGE.read_text(encoding="utf-8"), probe_summary.option_scores()
    assert probe_summary.with_tables(page, ROWS, options) == page
    assert "| cifar10-lt200 | 1 | patch-kmeans | 17.0 ± 1.0 |" in page


def test_a_row_is_shown_with_half_its_interval():
    table = ROWS["cifar10-lt200-ipc1-patch-kmeans"]
    assert probe_summary.shown(table["sfm (hard labels)"]) == "28.8 ± 2.3"  # 26.6 to 31.1
    assert probe_summary.shown(None) == "–"


def test_every_option_has_its_default_beside_it_and_can_be_run():
    found = list(arms(HERE / "backbone_options.yaml"))
    assert {arm.factor for arm in found if arm.name == probe_summary.DEFAULT} == {arm.factor for arm in found}
    rates: dict[str, set[float]] = {}
    for arm in found:
        own = Params.model_validate({name: value for name, value in arm.settings.items() if name != "numerics"})
        assert own.evaluate.split == "dev" and choose(own).settings.method == arm.factor.partition("-")[0]
        if own.distill.ipc == 1:
            rates.setdefault(own.distill.method, set()).add(own.distill.lr)
    assert rates == {method: {0.003, 0.01, 0.03} for method in probe_summary.METHODS}


def test_options_stand_beside_their_default(tmp_path: Path):
    scores = {"sfm-ipc1": {"default": {0: 20.0, 1: 22.0}, "shrink": {0: 21.0, 1: 23.5}}}
    page = probe_summary.with_tables("<!-- options -->\n<!-- end -->\n", {}, scores)
    assert "| sfm, IPC 1: default | 21.0 |  |  |" in page
    assert "| sfm, IPC 1: shrink | 22.2 | +1.2 ± " in page
