"""A set from its file: tensors and a dataset, as students get them."""

from __future__ import annotations

import pytest
import torch

import csdm_cli
from csdm_cli.artifacts.file import FILE_NAME, save_distilled
from csdm_cli.errors import CsdmError
from csdm_cli.runs.loading import load
from tests.artifacts.sets import make_set


@pytest.fixture
def folder(tmp_path):
    save_distilled(tmp_path / FILE_NAME, make_set())
    return tmp_path


def test_a_folder_and_its_file_are_the_same_set(folder):
    made = make_set()
    for place in (folder, folder / FILE_NAME, str(folder)):
        found = load(place)
        assert found.path == folder / FILE_NAME
        assert torch.equal(found.distilled.images, made.images) and torch.equal(found.distilled.labels, made.labels)
    assert csdm_cli.load is load


def test_tensors_are_normalised_by_the_real_images_unless_told(folder):
    found = load(folder)
    plain, labels = found.tensors(labels="hard", normalised=False)
    assert plain.min() >= 0 and plain.max() <= 1
    normalised, again = found.tensors(labels="hard")
    data = found.distilled.dataset
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (data.mean, data.std))
    torch.testing.assert_close(normalised, (plain - mean) / std)
    assert torch.equal(labels, again) and len(found.dataset(labels="hard")) == len(plain)


def test_nothing_there_is_said(tmp_path):
    with pytest.raises(CsdmError, match="distilled"):
        load(tmp_path / "nowhere")
