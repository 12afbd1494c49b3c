"""Chunks: as many whole classes as the memory takes, and never a number of ranks that changes them."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.distillation.layout import Chunking, Formation, activation_bytes, chunking
from csdm_cli.networks import build
from csdm_cli.networks.spec import NetworkSpec

CPU = torch.device("cpu")
FORMATION = Formation(10, 5, 2, 16, (0.5,), (0.25,))


def test_the_formation_counts_images():
    assert (FORMATION.per_class, FORMATION.decoded) == (20, 200)


@pytest.mark.parametrize(
    ("stored", "expected"),  # how many stored images fit the budget
    [(0, (1, 1)), (1, (1, 1)), (4, (1, 4)), (5, (1, 5)), (9, (1, 5)), (10, (2, 5)), (49, (9, 5)), (1000, (10, 5))],
)
def test_chunks_fill_the_budget(stored, expected):
    assert chunking(FORMATION, 100, stored * 4 * 100 + 3) == Chunking(*expected)


def test_activations_of_a_layer_by_layer_count():
    """ConvNet of one block: what its convolution, norm, ReLU and pooling keep for backward, in float32."""
    spec = NetworkSpec("convnet", 6, 1, "instance", "avg", 3, 8, 4)
    network = build(spec, 0)
    images, maps = 3 * 8 * 8, 6 * 8 * 8
    least = images + 2 * maps  # the convolution's input, the norm's input and the ReLU's result
    found = activation_bytes(network, (3, 8, 8), CPU, torch.float32)
    assert 4 * least <= found <= 4 * (least + 2 * maps)
    assert activation_bytes(network.double(), (3, 8, 8), CPU, torch.float64) == 2 * found
