"""The picture of where every method stands says what the ledger says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import standing
from PIL import Image

from csdm_cli.ledger.store import read_rows
from tests.ledger.rows import full_row, random_row, row


def test_the_picture_is_of_the_rows():
    """As `python benchmarks/study/standing.py` leaves it."""
    found = standing.panels(read_rows(standing.ROOT / "results"))
    assert all(len(marks) > 20 for marks in found.values())
    assert Image.open(standing.PICTURE).text["Description"] == standing.picture_key(found)


def test_an_interval_is_of_the_spread_of_all_methods_sets():
    rows = [
        row([[0.52], [0.50], [0.54]]),
        row([[0.40], [0.41]], subject="dc (hard labels)", method="dc"),
        row([[0.45]], subject="mtt (hard labels)", method="mtt"),
        random_row([[0.3], [0.4]]),
        full_row(),
    ]
    own, dc, mtt, random, full = standing.marks(rows)
    assert (own.name, own.kind, own.sets) == ("csdm", "matching", 3) and own.mean == pytest.approx(52)
    assert [one.kind for one in (dc, mtt, random, full)] == ["gradient", "trajectory", "control", "control"]
    deviation = math.sqrt((2 * np.var([52, 50, 54], ddof=1) + np.var([40, 41], ddof=1)) / 3)
    single = scipy.stats.t.ppf(0.975, 3) * deviation
    assert own.half_width == pytest.approx(single / math.sqrt(3)) and mtt.half_width == pytest.approx(single)
    assert random.half_width == pytest.approx(scipy.stats.t.ppf(0.975, 1) * np.std([30, 40], ddof=1) / math.sqrt(2))
    assert (full.sets, full.half_width) == (0, None)


def test_a_single_set_is_drawn_otherwise_than_several(tmp_path):
    controls = [standing.Mark("random", "control", 30.0, None, 1), standing.Mark("full, a", "control", 70.0, None, 0)]
    pictures = []
    for sets in (1, 2):
        found = {"β = 1": [standing.Mark("own", "matching", 50.0, 2.0, sets), *controls]}
        file = tmp_path / f"{sets}.png"
        standing.draw(found, file)
        pictures.append(Image.open(file))
        assert pictures[-1].text["Description"] == standing.picture_key(found)
    one, several = (np.asarray(picture.convert("RGB"), dtype=int) for picture in pictures)
    orange = [0xC1, 0x44, 0x0E]
    filled = [(np.abs(pixels - orange).sum(-1) < 30).sum() for pixels in (one, several)]
    assert filled[1] > filled[0] > 0
