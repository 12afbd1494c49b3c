"""The figures of docs/scale-out.md follow from its formulas, and are those that benchmarks/scale.py prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import scale

DOCUMENT = (Path(__file__).parents[2] / "docs" / "scale-out.md").read_text()


def convnet_flops(width: int, depth: int, size: int) -> int:
    """Two operations per weight and position of each 3x3 convolution, whose sides halve."""
    inputs = [3, *[width] * (depth - 1)]
    return sum(2 * 9 * inputs[block] * width * (size // 2**block) ** 2 for block in range(depth))


@pytest.fixture(scope="module")
def convnet() -> scale.Price:
    return scale.price("convnet", 224, 6, 1000)


def test_operations_and_features_of_the_convnet(convnet):
    assert convnet.forward == convnet_flops(128, 6, 224)
    assert convnet.matching == 2 * convnet.forward  # the gradient in the input costs a convolution per layer, too
    assert convnet.features == 128 * 3 * 3
    # three times the forward pass, but for the gradient in the pixels, plus the classifier's products and their bias
    first = 2 * 9 * 3 * 128 * 224**2
    assert convnet.training == pytest.approx(3 * convnet.forward - first + 3 * 2 * 1152 * 1000, rel=1e-3)


def test_bytes_of_the_bank_and_of_the_real_set(convnet):
    values = {what: value for what, _, value in scale.rows(scale.Case(), convnet, 1e14, 8)}
    assert values["bank, on disk"] == f"{5 * 8 * 1000 * 4096 * 8 / 1e9:.3g} GB" == "1.31 GB"
    assert values["real set, uint8"] == f"{1000 * 1300 * 3 * 224**2 / 1e9:.3g} GB" == "196 GB"
    assert values["one step"] == f"{40_000 * 2 * convnet_flops(128, 6, 224) / 1e14 / 8:.3g} s"


def test_the_document_shows_what_the_script_prints():
    for line in scale.table(scale.Case(), 1e14, 8):
        assert line in DOCUMENT
