"""The departures of a method from its own paper."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from csdm_cli.ledger.departures import method_departures, other_settings
from csdm_cli.ledger.protocol import Protocol
from csdm_cli.ledger.row import Row
from csdm_cli.methods import load
from tests.ledger.rows import full_row, row


def by(method: str, **distill: Any) -> Row:
    sections = {name: dict(section) for name, section in row().config.items()}
    sections["distill"] |= {"method": method} | distill
    return row(method=method, subject=method, config=sections)


def test_idm_looks_through_the_teachers_unless_it_has_its_pool():
    """Options of rows are text, and those not given have their defaults."""
    cls = load("idm")
    assert "pool 100 (here 0)" in other_settings(by("idm"), cls, 10, {})
    own = other_settings(by("idm", option={"pool": "100"}), cls, 10, {})
    assert own and not any(told.startswith(("pool", "ce weight")) for told in own)


def test_rdeds_factor_labels_and_temperature():
    (runs, method, settings) = method_departures(by("rded", factor=2), {})
    assert runs == "runs: 2 × 2" and "stored labels" in method
    assert "factor 1 (here 2)" in settings and "temperature 20.0 (here 1.0)" in settings


def test_selections_looked_through_another_network():
    for method in ("k-center", "graph-cut"):
        told = method_departures(by(method), {})[-1]
        assert "network resnet18 (here convnet)" in told and "epochs 40" in told


def test_what_was_told_is_not_repeated():
    found = by("csdm", iterations=600)
    assert other_settings(found, load("csdm"), 10, {}) == ["iterations 10,000 (here 600)"]
    assert other_settings(found, load("csdm"), 10, {"iterations": 10_000}) == []


def test_the_first_protocols_calibration_was_a_mean():
    """For methods that were calibrated: not for random images, nor where its weight was 0."""
    mean = "calibration a mean over classes, not a sum"
    for method, weight, told in (("csdm", 0.1, True), ("dm", 0.0, False), ("random", 0.1, False)):
        found = by(method, calibration=weight)
        assert (mean in method_departures(replace(found, protocol=Protocol.first), {})) is told
        assert mean not in method_departures(found, {})


def test_controls_on_all_real_images_have_runs_alone():
    assert method_departures(full_row(), {}) == ["runs: 2"]
