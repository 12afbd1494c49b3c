"""Settings that have no effect on the run as chosen are refused before anything is done."""

from __future__ import annotations

import pytest

from csdm_cli.errors import UsageError
from csdm_cli.runs.choose import choose
from csdm_cli.settings import sections


@pytest.mark.parametrize(
    ("option", "idle", "read"),
    [
        ("draws", {"method": "csdm", "real": "fresh"}, {"method": "csdm"}),
        ("draws", {"method": "m3d"}, {"method": "m3d", "kernel": "linear"}),
        ("draws", {"method": "dm", "engine": "textbook"}, {"method": "dm"}),
        ("real_batch", {"method": "csdm"}, {"method": "csdm", "real": "fresh"}),
        ("real_batch", {"method": "wmdd", "real": "bank"}, {"method": "dsdm"}),
    ],
)
def test_a_setting_of_the_other_real_side_is_refused(option, idle, read):
    def chosen(**settings):
        return choose(sections.Params(distill=sections.Distill(**settings)), frozenset({option}))

    with pytest.raises(UsageError, match=f"--{option.replace('_', '-')} has no effect: the real side of"):
        chosen(**idle)
    assert chosen(**read).settings.method == read["method"]
