from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from csdm_cli.data import sources
from csdm_cli.data.sources.reading import Reading
from csdm_cli.errors import UsageError


def test_all_digits_are_there_once(tmp_path):
    raw = sources.load("digits", None, Reading(8), tmp_path)
    train, test = (split.read(range(len(split.labels))) for split in (raw.train, raw.test))
    assert len(train) + len(test) == 1797
    original = np.round(load_digits().images * 255 / 16).astype(np.uint8).reshape(1797, -1)
    ours = torch.cat([train, test]).reshape(1797, -1).numpy()
    assert np.array_equal(original[np.lexsort(original.T)], ours[np.lexsort(ours.T)])


def test_the_split_is_stratified(tmp_path):
    raw = sources.load("digits", None, Reading(), tmp_path)
    for train, test in zip(raw.train.counts(10), raw.test.counts(10), strict=True):
        assert train == test * 2 + (train + test) % 3
    assert raw.size == 16 and raw.train.read([0]).shape == (1, 1, 16, 16)


def test_digits_in_colour_are_grey_three_times(tmp_path):
    grey, colour = (sources.load("digits", None, Reading(channels=channels), tmp_path) for channels in (1, 3))
    assert colour.channels == 3
    assert torch.equal(colour.train.read([0, 5]), grey.train.read([0, 5]).expand(-1, 3, -1, -1))


def test_columns_are_refused_where_there_are_none(tmp_path):
    for reading in (Reading(image_column="picture"), Reading(label_column="kind")):
        with pytest.raises(UsageError, match="columns of parquet or of a csv list, and these images come from neither"):
            sources.load("digits", None, reading, tmp_path)
