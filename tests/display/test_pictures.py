"""Pictures can be opened, hold the given number of bars or cells, and are the same for the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from csdm_cli.display import pictures

DRAWINGS = {
    "loss": lambda path, scale=1.0: pictures.loss_curve({"a": [scale, 0.5, 0.2], "b": [2.0, 1.0, 0.9]}, path),
    "confusion": lambda path, scale=1.0: pictures.confusion([[int(3 * scale), 1], [0, 4]], ["cat", "dog"], path),
    "accuracies": lambda path, scale=1.0: pictures.accuracies([("own", 50 * scale, 1.0), ("random", 30, 0.5)], path),
    "comparison": lambda path, scale=1.0: pictures.comparison(
        {"IPC 1": [("own", 50 * scale, 1.0, False), ("random", 30, 0.5, True)], "IPC 2": [("own", 60, 0.0, False)]},
        "accuracy",
        path,
    ),
    "phases": lambda path, scale=1.0: pictures.phases({"IPC 1": {"network": scale, "spectral": 0.1}}, path),
    "roofline": lambda path, scale=1.0: pictures.roofline(
        {"distill": (0.6 * scale, {"network": 0.6 * scale, "rest": 1 - 0.6 * scale})}, "10 GFLOP/s", path
    ),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_equal_numbers_give_equal_bytes_and_other_numbers_another_picture(tmp_path, name):
    one, same, other = (tmp_path / f"{i}.png" for i in range(3))
    DRAWINGS[name](one)
    DRAWINGS[name](same)
    DRAWINGS[name](other, scale=0.5)
    assert one.read_bytes() == same.read_bytes() != other.read_bytes()
    with Image.open(one) as picture:
        assert min(picture.size) > 100
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10


def test_a_running_mean_lags_by_its_width():
    values = [0.0, 3.0, 6.0, 9.0]
    assert pictures._running_mean(values, 1) == values
    assert pictures._running_mean(values, 2) == [0.0, 1.5, 4.5, 7.5]
