"""The storage of a set, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from csdm_cli.artifacts.accounting import storage_of
from csdm_cli.artifacts.file import SoftLabels
from tests.artifacts.sets import coded_set, make_set

PIXELS = 3 * 8 * 8


def test_images_of_8_bits_are_their_own_equivalent():
    found = storage_of(make_set(classes=3, ipc=2, factor=2))
    assert found.numbers == 6 * PIXELS and found.ipc_equivalent == 2
    assert found.bytes == 6 * PIXELS + 6 * 8  # and an int64 class for each


def test_images_of_32_bits_weigh_four_times_as_much():
    found = storage_of(make_set(classes=3, ipc=2, images=torch.rand(6, 3, 8, 8)))
    assert found.numbers == 6 * PIXELS and found.ipc_equivalent == 8


@pytest.mark.parametrize(("dtype", "width"), [(torch.float32, 4), (torch.float16, 2)])
def test_soft_labels_weigh_what_they_are_stored_in(dtype, width):
    rows = torch.full((24, 3), 1 / 3, dtype=dtype)
    found = storage_of(replace(make_set(), soft_labels=SoftLabels(rows, 1.0, "t")))
    assert found.numbers == 6 * PIXELS + 72 and found.bytes == 6 * PIXELS + 48 + 72 * width
    assert found.ipc_equivalent == pytest.approx(2 + 72 * width / (3 * PIXELS))


def test_a_learned_step_size_is_one_more_number():
    found, plain = storage_of(make_set(evaluation={"learned_rate": 0.02})), storage_of(make_set())
    assert (found.numbers, found.bytes) == (plain.numbers + 1, plain.bytes + 8)
    assert found.ipc_equivalent == pytest.approx(plain.ipc_equivalent + 8 / (3 * PIXELS))


def test_coefficients_and_their_masks():
    distilled = coded_set("frequency")  # 384 bytes a class: less 8 of a mask, 376 / (8 images of 3 channels of 2 bytes)
    found = storage_of(distilled)
    assert distilled.decoding.parameterisation == {"kind": "frequency", "per_class": 8, "kept": 7}
    assert found.numbers == 3 * 8 * 3 * 7 and found.bytes == 2 * found.numbers + 3 * 8
    assert found.ipc_equivalent == found.bytes / (3 * PIXELS) and found.ipc_equivalent <= 2


def test_tensors_and_kernels():
    distilled = coded_set("decomposition", soft=True)
    form = distilled.decoding.parameterisation
    core, kernel = 3 * 5 * 4, 3 * 3 + 8 * 5 + 8 * 4
    assert form["sizes"] == [3, 5, 4]
    own = 3 * form["tensors"] * core + form["kernels"] * kernel
    labels = 3 * form["tensors"] * form["kernels"] * 3
    found = storage_of(distilled)
    assert found.numbers == own + labels and found.bytes == 2 * own + 4 * labels
    assert 2 * own <= 2 * 3 * PIXELS < 2 * (own + 3 * core)  # another tensor per class is too much
