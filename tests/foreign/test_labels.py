"""Labels of other tools' sets told apart by shape and values."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.foreign.labels import labels_of

PATH, NAMES = Path("set.pt"), ("cat", "dog", "eel")


def read(labels=None, soft=None, names=None, count=3, factor=1):
    found = SimpleNamespace(labels=labels, soft_labels=soft, class_names=names)
    return labels_of(found, PATH, count, NAMES, factor)


def test_one_number_per_image_is_its_class_counted_from_0_or_1():
    assert read(torch.tensor([2, 0, 1])).classes.tolist() == [2, 0, 1]
    found = read(torch.tensor([[3.0], [1.0], [2.0]]))
    assert found.classes.tolist() == [2, 0, 1] and found.notes == ("labels from 1 to 3 were counted from 1",)


def test_rows_are_one_hot_probabilities_centred_ones_or_logits():
    one_hot = torch.eye(3)[[1, 0, 2]]
    for rows in (one_hot, one_hot - 1 / 3):
        found = read(soft=rows)
        assert found.classes.tolist() == [1, 0, 2] and found.probabilities is None
    probabilities = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])
    for rows in (probabilities, probabilities - 1 / 3):
        torch.testing.assert_close(read(soft=rows).probabilities, probabilities)
    logits = 5 * probabilities + 2
    torch.testing.assert_close(read(soft=logits).probabilities, logits.softmax(1))


def test_a_row_of_a_stored_image_is_of_all_its_decoded_ones():
    rows = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])
    assert torch.equal(read(soft=rows, factor=2).probabilities, rows.repeat_interleave(4, 0))


def test_classes_by_the_names_of_the_dataset():
    assert read(torch.tensor([0, 1, 2]), names=("Eel", "00_cat", "dog")).classes.tolist() == [2, 0, 1]
    found = read(torch.tensor([0, 1, 2]), names=("new002", "new000", "new001"))
    assert found.classes.tolist() == [2, 0, 1] and "numbered by the names" in found.notes[0]
    with pytest.raises(UsageError, match="none of the dataset's 3"):
        read(torch.tensor([0, 1, 1]), names=("ant", "bee"))


def test_names_that_begin_with_a_number_are_names_first():
    """A part of such classes is not counted from the numbers in their names."""
    held = SimpleNamespace(labels=torch.tensor([0, 1, 1]), soft_labels=None, class_names=("1_cat", "2_dog"))
    found = labels_of(held, PATH, 3, ("1_cat", "2_dog", "3_eel"), 1)
    assert found.classes.tolist() == [0, 1, 1] and not found.notes


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="--labels-file"):
        read()
    with pytest.raises(CsdmError, match="cannot be classes"):
        read(torch.tensor([0.5, 1.0, 2.0]))
    with pytest.raises(CsdmError, match=r"shape \(2,\) for 3 images"):
        read(torch.tensor([0, 1]))
    with pytest.raises(CsdmError, match="not finite"):
        read(soft=torch.full((3, 3), float("nan")))
