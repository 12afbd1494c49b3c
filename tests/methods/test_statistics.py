"""The view that a loss is given: batches of classes and their statistics."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.methods.statistics import Batch, ClassStatistics, Request, Spectrum
from csdm_cli.names import KernelName
from csdm_cli.spectral.characteristic import Ecf

ROWS = torch.arange(12.0).view(6, 2)  # classes 1, 2 and 3 of two images each


def batch(**real) -> Batch:
    return Batch(1, 4, 2, ROWS, ClassStatistics(**real), None)


def test_rows_stand_class_after_class():
    own = batch()
    assert own.classes == 3 and own.labels.tolist() == [1, 1, 2, 2, 3, 3]
    assert own.by_class(ROWS).shape == (3, 2, 2)
    assert own.class_means(ROWS).tolist() == [[1, 2], [5, 6], [9, 10]]


def test_distance_of_means_by_hand():
    """Every mean is one off in both numbers: 3·2."""
    assert float(batch(mean=torch.tensor([[0.0, 1], [4, 5], [8, 9]])).distance_of_means()) == 6


def test_each_class_at_its_own_length():
    assert batch().at_own_length(ROWS) is ROWS
    found = batch(stretch=torch.tensor([1.0, 2.0, 0.0])).at_own_length(ROWS)
    assert torch.equal(found, ROWS * torch.tensor([1.0, 1, 2, 2, 0, 0])[:, None])


def test_a_spectrum_sees_unit_length_or_what_there_is_of_the_half_that_is_a_block_s():
    features = torch.tensor([[1.0, 2, 3, 4]])
    seen = {
        (raw, block): Spectrum(KernelName.rbf, 1.5, 1.0, 4, raw=raw, block=block).seen(features).tolist()
        for raw in (False, True)
        for block in (0, 2)
    }
    assert seen[True, 0] == [[1, 2, 3, 4]] and seen[True, 2] == [[3, 4]]
    assert seen[False, 0] == [pytest.approx([each / 30**0.5 for each in (1, 2, 3, 4)])]
    assert seen[False, 2] == [pytest.approx([0.6, 0.8])]
    assert Spectrum(KernelName.rbf, 1.5, 1.0, 4, block=2).dim(4) == 2


def test_a_part_of_the_classes_has_their_part_of_everything():
    whole = ClassStatistics(
        mean=ROWS,
        unit_mean=2 * ROWS,
        ecf=Ecf(ROWS, -ROWS),
        summaries={"own": 3 * ROWS},
        features=list(ROWS),
        length=1.5,
        counts=range(6),
        stretch=ROWS[:, 0],
    )
    part = whole.of(2, 4)
    assert torch.equal(part.mean, ROWS[2:4]) and torch.equal(part.unit_mean, 2 * ROWS[2:4])
    assert torch.equal(part.ecf.im, -ROWS[2:4]) and torch.equal(part.summaries["own"], 3 * ROWS[2:4])
    assert len(part.features) == 2 and list(part.counts) == [2, 3] and part.length == 1.5
    assert part.stretch.tolist() == [4, 6]
    assert ClassStatistics().of(0, 1) == ClassStatistics()


@pytest.mark.parametrize("name", ["mean", "unit_mean", "features"])
def test_requests_are_joined(name):
    joined = Request(**{name: True}).joined(Request())
    assert getattr(joined, name) and joined == Request().joined(Request(**{name: True}))
