"""ResNet-18 in the 32x32 form."""

from __future__ import annotations

import pytest

from csdm_cli.networks import NetworkSpec, build

# Size, classes, and parameters as published by the field's repositories.
PUBLISHED = [(32, 10, 11_173_962), (32, 100, 11_220_132)]


@pytest.mark.parametrize(("size", "classes", "parameters"), PUBLISHED)
def test_parameter_counts_are_the_field_s(size, classes, parameters):
    net = build(NetworkSpec("resnet18", size=size, classes=classes), seed=0)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters


def test_512_features_whatever_the_size():
    for size in (16, 32):
        assert build(NetworkSpec("resnet18", size=size), seed=0).feature_dim == 512 * max(1, size // 32) ** 2
