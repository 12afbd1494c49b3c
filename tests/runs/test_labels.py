"""Settings of soft labels are refused where the labels are hard."""

from __future__ import annotations

import pytest

from csdm_cli.errors import UsageError
from csdm_cli.runs.choose import choose
from csdm_cli.settings import sections


def chosen(given: frozenset[str], **settings):
    return choose(sections.Params(distill=sections.Distill(**settings)), given)


def test_a_temperature_asked_for_needs_soft_labels():
    asked = frozenset({"temperature"})
    with pytest.raises(UsageError, match=r"--temperature 4 changes soft labels.*--labels soft"):
        chosen(asked, method="dm", temperature=4)
    for settings in ({"method": "dm", "labels": "soft"}, {"method": "rded"}):
        assert chosen(asked, temperature=4, **settings).settings.temperature == 4
    # a params file may set it for those of several methods that have soft labels
    assert chosen(frozenset(), method="dm", temperature=4).settings.labels == "hard"


def test_prior_calibration_needs_soft_labels():
    with pytest.raises(UsageError, match=r"--prior-calibration 0\.5 changes soft labels"):
        chosen(frozenset(), method="dm", prior_calibration=0.5)
    assert chosen(frozenset(), method="rded", prior_calibration=0.5).settings.prior_calibration == 0.5
