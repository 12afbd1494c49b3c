"""Settings of soft labels are refused where the labels are hard."""

from __future__ import annotations

from dataclasses import replace

import pytest

from csdm_cli.artifacts.joining import merge, select_classes
from csdm_cli.errors import UsageError
from csdm_cli.runs.choose import choose
from csdm_cli.runs.labels import measured_on
from csdm_cli.settings import sections
from tests.artifacts.sets import make_set

ORIGIN = make_set().provenance


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


def test_the_images_that_a_part_s_labels_were_chosen_on_are_those_of_the_whole():
    """A set cut out of another, or merged of several, keeps their probabilities."""
    by_dev, by_train, given = (
        make_set(soft=True, provenance=replace(ORIGIN, config={"prior_calibration": {"tau": 1.0, **on}}))
        for on in ({"measured_on": "dev"}, {"measured_on": "train"}, {})
    )
    assert [measured_on(one) for one in (by_dev, by_train, given, make_set())] == ["dev", "train", None, None]
    names = by_dev.dataset.class_names
    whole = [merge([select_classes(one, names[:2]), select_classes(given, names[2:])]) for one in (by_dev, by_train)]
    assert [measured_on(one.distilled) for one in whole] == ["dev", "train"]
    mixed = merge([select_classes(by_train, names[:2]), select_classes(by_dev, names[2:])])
    assert measured_on(mixed.distilled) == "dev"
    assert measured_on(replace(given, provenance=replace(ORIGIN, config={"sets": ["of", {"another": "tool"}]}))) is None
