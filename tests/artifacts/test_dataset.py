"""A distilled set as a torch Dataset."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.artifacts.dataset import DistilledDataset
from csdm_cli.errors import CsdmError
from csdm_cli.names import LabelKind
from tests.artifacts.sets import make_set


def test_hard_labels_of_decoded_images():
    """3 classes of 2 stored images, each of 4 cells."""
    found = DistilledDataset(make_set(), normalised=False)
    assert len(found) == 24 and found.images.shape == (24, 3, 8, 8) and found.class_names[0] == "class 0"
    assert torch.bincount(found.targets).tolist() == [8, 8, 8]
    image, target = found[23]
    assert torch.equal(image, found.images[23]) and target == 2


def test_normalised_images_are_the_plain_ones_less_mean_over_deviation():
    plain, normalised = (DistilledDataset(make_set(), normalised=told).images for told in (False, True))
    for channel, (mean, std) in enumerate([(0.5, 0.25), (0.4, 0.2), (0.3, 0.1)]):
        torch.testing.assert_close(normalised[:, channel], (plain[:, channel] - mean) / std)


def test_soft_labels_are_what_there_is_unless_told():
    made = make_set(soft=True)
    found = DistilledDataset(made)
    assert found.targets.shape == (24, 3)
    torch.testing.assert_close(found.targets.sum(1), torch.ones(24))
    assert DistilledDataset(made, LabelKind.hard).targets.dtype == torch.int64
    with pytest.raises(CsdmError, match="soft"):
        DistilledDataset(make_set(), LabelKind.soft)
