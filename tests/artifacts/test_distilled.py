from __future__ import annotations

import pytest
import torch

from csdm_cli.artifacts.file import Provenance, to_uint8
from csdm_cli.errors import CsdmError
from csdm_cli.images.multi_formation import decode
from csdm_cli.names import LabelKind
from tests.artifacts.sets import make_set


def test_every_level_survives_the_way_to_unit_range_and_back():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(levels.float() / 255), levels)


def test_rounding_is_to_the_nearest_level_and_clips():
    pixels = torch.tensor([-0.1, 0.0, 0.4 / 255, 0.6 / 255, 1.0, 1.7])
    assert to_uint8(pixels).tolist() == [0, 0, 0, 1, 255, 255]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_rounding_refuses_pixels_that_are_not_finite(value):
    with pytest.raises(CsdmError, match="not finite numbers: the run diverged; lower its --lr"):
        to_uint8(torch.tensor([0.5, value]))


def test_decoded_images_are_those_of_the_stored_bytes():
    distilled = make_set(factor=2, side=8, size=8)
    decoded = distilled.decoded()
    assert decoded.shape == (24, 3, 8, 8) and decoded.dtype == torch.float32
    torch.testing.assert_close(decoded, decode(distilled.images.double() / 255, 2, 8).float())


def test_targets_follow_the_order_of_decoding():
    distilled = make_set(classes=3, ipc=2, factor=2)
    hard = distilled.targets(LabelKind.hard)
    assert hard.argmax(1).tolist() == [0] * 8 + [1] * 8 + [2] * 8
    assert hard.sum(1).eq(1).all() and hard.dtype == torch.float32


def test_soft_targets_are_the_stored_ones_and_become_the_default():
    distilled = make_set(soft=True)
    assert distilled.default_labels is LabelKind.soft
    assert torch.equal(distilled.targets(LabelKind.soft), distilled.soft_labels.probabilities)
    without = make_set()
    assert without.default_labels is LabelKind.hard
    with pytest.raises(CsdmError, match="no soft labels"):
        without.targets(LabelKind.soft)


def test_ipc_counts_each_class_also_an_empty_one():
    labels = torch.tensor([0, 0, 0, 2])
    assert make_set(classes=3, ipc=2, labels=labels).ipc == (3, 0, 1)


def test_provenance_of_a_run_names_code_and_versions():
    provenance = Provenance.of_run("dm", 3, {"ipc": 1})
    assert provenance.method == "dm" and provenance.seed == 3 and provenance.config == {"ipc": 1}
    assert provenance.source and set(provenance.versions) == {"csdm", "torch"}
