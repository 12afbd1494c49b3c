"""Settings of before the change of units compute today what they did then."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from csdm_cli.settings import sections as config
from csdm_cli.settings.units import in_units, modern, modern_sections

RESULTS = Path(__file__).parents[2] / "results"


def test_calibration_is_divided_by_the_classes_once():
    old = {"method": "csdm", "calibration": 0.1, "lr": 0.5}
    assert modern(old, 10) == {"method": "csdm", "calibration": 0.01, "lr": 0.5}
    assert modern(old, 100)["calibration"] == pytest.approx(0.001)
    assert modern(in_units(modern(old, 10)), 10) == modern(old, 10)
    assert modern({"method": "random", "calibration": None}, 10)["calibration"] is None


def test_what_was_a_default_is_named():
    assert modern({"method": "m3d", "option": {"third": "0.5"}}, 10)["option"] == {"second": 1.0, "third": "0.5"}
    assert modern({"method": "wmdd", "option": {}}, 10)["option"] == {"classes": "mean"}
    assert modern({"method": "dm", "optimizer": "adamw"}, 10)["weight_decay"] == 0.01
    assert "weight_decay" not in modern({"method": "dm", "optimizer": "adam"}, 10)
    today = in_units({"method": "m3d", "calibration": 0.3, "option": {}})
    assert modern(today, 10) == {"method": "m3d", "calibration": 0.3, "option": {}}


def test_ratios_need_no_classes():
    assert modern(in_units({"method": "dm", "calibration": "1x"}), 7)["calibration"] == "1x"


def test_rows_of_the_ledger_keep_the_factor_of_their_loss_to_the_bit():
    """The engine multiplies a sum over images by it, in float32."""
    rows = [json.loads(path.read_bytes()) for path in sorted(RESULTS.glob("*.json"))]
    optimised = [row for row in rows if row.get("config", {}).get("distill", {}).get("calibration")]
    old = [row for row in optimised if "units" not in row["config"]["distill"]]
    assert len(old) > 5
    for row in old:
        classes, told = len(row["data"]["counts"]), row["config"]["distill"]
        sections = modern_sections(row["config"], classes)
        config.Distill.model_validate(sections["distill"])
        images = told["ipc"] * told["factor"] ** 2
        now, then = sections["distill"]["calibration"] / images, told["calibration"] / (images * classes)
        assert np.float32(now) == np.float32(then) > 0
